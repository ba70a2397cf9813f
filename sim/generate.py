"""A calibrated market written as a LOBSTER recording: a session for every tool that reads one, made from numbers alone.

The market is the calibrated flow in the order book, without agents. Only what changes the visible levels is written, as
LOBSTER does; a market order becomes one execution row a resting order that it meets.
"""

from pathlib import Path

from market_models.calibration import Calibration
from sim.generation.files import publish, staged
from sim.generation.request import Request
from sim.generation.session import Progress, generate


def generate_lobster(
    calibration: Calibration,
    out_dir: Path,
    *,
    messages: int,
    seed: int,
    levels: int = 5,
    start_s: int = 34_200,
    progress: Progress | None = None,
) -> Path:
    """Write one generated session of `messages` rows as a LOBSTER zip into `out_dir`; return its path.

    The same calibration and seed give the same file; one of the same name is replaced. Raises ValueError for messages
    or levels below 1.
    """
    request = Request(messages, seed, first_label=seed, levels=levels, start_s=start_s)
    with staged(out_dir) as folder:  # beside sessions of other seeds, which stay
        return publish(generate(calibration, folder, request, progress=progress).files, [], out_dir)[0]
