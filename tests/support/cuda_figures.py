"""Figures of the compiled CUDA kernels: `python -m tests.support.cuda_figures [STREAM.npz]` prints Markdown tables.

Resources and occupancy come from ptxas; issued instructions from the PTX simulator on a stream, 100 messages a call.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kernels.lob import spec
from kernels.lob.cuda import nvrtc
from kernels.lob.cuda.resources import SM_90, occupancy, resources
from kernels.lob.cuda.source import MARKET_STEP, PROCESS, WARPS, kernel_source
from kernels.lob.host import process_batch
from kernels.lob.spec import LobConfig
from kernels.lob.step import new_market
from market_models.calibration import load_calibration
from market_models.registry import MODELS, get_flow, get_model
from sim.replay_stream import read_stream
from tests.support import cuda_host
from tests.support.ptx import Program, Simulator

CALL = 100
MULTIPROCESSORS, CLOCK_HZ = 132, 1.755e9  # of an H200 SXM: its boost clock of 1,980 MHz is not sustained


def resource_rows() -> Iterator[str]:
    """Yield the rows of the table of resources."""
    columns = ("kernel", "flow", "capacity", "registers", "spills", "shared memory a block", "SASS instructions")
    yield f"| {' | '.join(columns)} | warps a SM | limited by |"
    yield "|---" * 9 + "|"
    flows = [(PROCESS, "-", None), *((MARKET_STEP, name, get_flow(name).cuda_source_path) for name in sorted(MODELS))]
    for kernel, name, source in flows:
        for capacity in spec.CAPACITIES:
            taken = resources(nvrtc.compile_source(kernel_source(kernel, capacity, source)))
            held = occupancy(taken, capacity)
            spills = taken.spill_stores_bytes + taken.spill_loads_bytes
            yield (
                f"| {kernel} | {name} | {capacity} | {taken.registers} | {spills} | {taken.shared_bytes:,} | "
                f"{taken.instructions:,} | {held.warps} of {SM_90.warps} | {held.limited_by} |"
            )


class Counted:
    """A kernel in the PTX simulator, with what it has issued since the last look."""

    def __init__(self, kernel: str, capacity: int, flow_source: str | None = None) -> None:
        compiled = nvrtc.compile_source(kernel_source(kernel, capacity, flow_source))
        self.simulator = Simulator(Program(compiled.ptx))
        self.sass_share = resources(compiled).instructions / len(self.simulator.steps)
        self.warps = WARPS[capacity]

    def __call__(self, words: np.ndarray, arrays: tuple[np.ndarray, ...]) -> int:
        """Run a call, its batch the first axis of the first array; return the instructions issued."""
        before = sum(self.simulator.counts)
        self.simulator.launch(words, arrays, -(-len(arrays[0]) // self.warps), self.warps)
        return sum(self.simulator.counts) - before


def process_figures(path: Path, capacity: int = 128, num_books: int = 16, calls: int = 3) -> tuple[float, float, float]:
    """Return PTX instructions a message, a call without messages, and the static ratio of SASS to PTX."""
    stream = read_stream(path)
    config = LobConfig(capacity, 128, 10)
    kernel = Counted(PROCESS, capacity)
    opening = np.ascontiguousarray(stream.opening[:num_books])
    books, _ = process_batch(spec.empty_book(config, (num_books,)), opening, config)
    _, _, idle = cuda_host.process(books, np.zeros((num_books, 0, 8), np.int32), config, kernel=kernel)
    issued = 0
    for call in range(calls):
        messages = stream.messages[:num_books, call * CALL : (call + 1) * CALL]
        books, _, count = cuda_host.process(books, messages, config, kernel=kernel)
        issued += count - idle
    return issued / (num_books * calls * CALL), idle / num_books, kernel.sass_share


def market_figures(capacity: int = 128, num_books: int = 8, steps: int = 3) -> float:
    """Return PTX instructions an event of the zero-intelligence market, a step of 100 events and its ends included."""
    model = get_model("zero_intelligence")
    calibration = load_calibration("amzn_2012_06_21_zi")
    config, flow = LobConfig(capacity, 32, 10), model.flow
    kernel = Counted(MARKET_STEP, capacity, flow.cuda_source_path)
    opening = np.stack([model.start_messages(calibration, seed) for seed in range(num_books)])
    books, _ = process_batch(spec.empty_book(config, (num_books,)), opening, config)
    tick = int(calibration.params["reference_tick"])
    markets = new_market(config, books, seed=1, reference_tick=tick, next_order_id=10_000, inbox=16)
    markets.seed[:, 1] = np.arange(num_books)
    inputs = (
        np.zeros((num_books, 4, 8)),
        np.tile(model.pack_params(calibration), (num_books, 1)),
        np.zeros((num_books, 0, 8)),
        [(CALL, 0)] * num_books,
    )
    issued = 0
    for _ in range(steps):
        markets, _, count = cuda_host.market_step(flow.cuda_source_path, config, markets, inputs, kernel=kernel)
        issued += count
    return issued / (num_books * steps * CALL)


def main() -> None:
    """Print everything."""
    print("\n".join(resource_rows()))
    issue = MULTIPROCESSORS * SM_90.issue_per_cycle * CLOCK_HZ
    if len(sys.argv) > 1:
        message, call, share = process_figures(Path(sys.argv[1]))
        print(f"\nprocess: {message:.0f} PTX instructions a message, {call:.0f} a call; SASS/PTX {share:.2f}")
        limit = issue / (message + call / CALL) / 1e9
        print(f"limit of instruction issue: {limit:.2f} G messages/s, by the SASS share {limit / share:.2f}")
    event = market_figures()
    print(f"market step: {event:.0f} PTX instructions an event: {issue / event / 1e9:.2f} G events/s")


if __name__ == "__main__":
    main()
