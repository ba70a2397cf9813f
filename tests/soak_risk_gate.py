"""Run seeded sequences of batches through the risk gate and its oracle.

    python -m tests.soak_risk_gate --sequences 1000000


Each sequence is up to four batches over a world that their fills and cancels change. Ends with 1 at the first
difference, or at an accepted order that could leave a limit, and prints the seed that shows it.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter

from tests.support.risk_worlds import check_sequence


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sequence; the others follow it")
    options = parser.parse_args()
    reasons: Counter[str] = Counter()
    began = time.monotonic()
    for seed in range(options.seed, options.seed + options.sequences):
        try:
            reasons.update(check_sequence(random.Random(seed)))
        except AssertionError as error:
            print(json.dumps({"ok": False, "seed": seed, "difference": str(error)[:2_000]}))
            return 1
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"ok": True, "sequences": options.sequences, "seconds": seconds, "orders": dict(reasons)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
