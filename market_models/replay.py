"""The replay flow: background messages from a recording, in order, at their recorded times.

A market step takes rows of `background` from the first one (META_CURSOR) and is exhausted after the last. Make the
rows with `datasets.lobster_replay.to_trading_stream`. Assumption: the recorded flow does not react to agents' orders,
so a maker's fills are overstated where real traders would have stepped in front, and impact is only mechanical; how far
the book diverges from the recording is measured by `sim/recorded_market.py`.
"""

from kernels.lob.cuda.source import DIRECTORY
from kernels.lob.step import replay_sampler
from market_models.flow import Flow

# No parameters; one word, because an array of none is awkward to alias.
FLOW = Flow("replay", replay_sampler, "market_models.replay_xla:sample", 1, str(DIRECTORY / "replay_flow.cuh"))
