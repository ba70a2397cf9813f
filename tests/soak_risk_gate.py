"""Run seeded sequences of batches through the risk gate and its oracle.

    python -m tests.soak_risk_gate --sequences 1000000 --out soak.json

Each sequence is up to four batches over a world that their fills and cancels change. Ends with 1 at the first
difference, or at an accepted order that could leave a limit, and prints the seed that shows it. With `--out` the count
so far is kept there every thousand sequences, and the same command goes on where it was stopped.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.risk_worlds import check_sequence

CHUNK = 1_000


def soak(sequences: int, seed: int, path: Path | None) -> dict[str, Any]:
    """Return the result over seeds seed..seed + sequences - 1; ValueError where `path` holds another soak."""
    done = _resumed(seed, path)
    while done["sequences"] < sequences and done["ok"]:
        began = time.monotonic()
        reasons = Counter(done["orders"])
        for each in range(min(CHUNK, sequences - done["sequences"])):
            at = seed + done["sequences"] + each
            try:
                reasons.update(check_sequence(random.Random(at)))
            except AssertionError as error:
                done |= {"ok": False, "seed": at, "difference": str(error)[:2_000]}
                break
        else:
            done["sequences"] += min(CHUNK, sequences - done["sequences"])
            done["seconds"] = round(done["seconds"] + time.monotonic() - began, 1)
            done["orders"] = dict(sorted(reasons.items()))
        _keep(done, path)
    judged = sum(done["orders"].values())
    return done | {"judged": judged, "accepted": done["orders"].get("OK", 0)}


def _resumed(seed: int, path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {"ok": True, "first_seed": seed, "sequences": 0, "seconds": 0.0, "orders": {}}
    done = json.loads(path.read_text())
    if not isinstance(done, dict) or done.get("first_seed") != seed:
        raise ValueError(f"{path} is not the result of a soak from seed {seed}")
    return done


def _keep(done: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(done))
        partial.replace(path)


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sequence; the others follow it")
    parser.add_argument("--out", type=Path, help="keep the count here and go on from it")
    options = parser.parse_args()
    result = soak(options.sequences, options.seed, options.out)
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
