"""What the processes of the fault tests run: one paper session, with an armed failpoint."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from live_bridge import failpoints, gating
from live_bridge.paper import PaperConfig, run_paper
from tests.support.paper_market import HashPolicy, make_market

gating.warm_up()  # in the fork server, once for all children


def paper_config(directory: Path, seed: int, num_messages: int = 700) -> PaperConfig:
    """Small segments and frequent snapshots, so that rotation and snapshots are in reach of every kill."""
    return PaperConfig(
        directory=directory,
        market=make_market(num_messages, seed),
        policy=HashPolicy(),
        backend="oracle",
        horizon_events=10,
        quote_lots=10,
        inventory_cap_lots=40,
        snapshot_records=150,
        segment_bytes=12_000,
        fsync="never",  # SIGKILL takes nothing that was written; syncing would only make the tests slow
    )


def run_child(directory: str, seed: int, failpoint: str) -> None:
    """Run to the end, unless killed, and leave the result beside the session."""
    failpoints.arm(failpoint)
    result = run_paper(paper_config(Path(directory), seed))
    Path(directory, "result.json").write_text(json.dumps(result))


def run_paced_child(directory: str, seed: int) -> None:
    """Run slowly enough to be interrupted, and leave the result beside the session."""
    config = replace(paper_config(Path(directory), seed, 20_000), speed=2.0)
    try:
        result = run_paper(config)
    except KeyboardInterrupt:
        sys.exit(130)
    Path(directory, "result.json").write_text(json.dumps(result))
