"""Figures of the compiled CUDA kernels: `python -m tests.support.cuda_figures [STREAM.npz ...]` prints Markdown tables.

Resources and occupancy come from ptxas; issued instructions from the PTX simulator on each stream, 100 messages a call;
bytes are those of the call's arrays, each read or written once. Limits are arithmetic, not measurements.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
from sim.replay import choose_capacity
from sim.replay_stream import read_stream
from tests.support import cuda_host
from tests.support.ptx import Program, Simulator

CALL = 100
MULTIPROCESSORS, CLOCK_HZ = 132, 1.755e9  # of an H200 SXM: its boost clock of 1,980 MHz is not sustained
MEMORY_BYTES_PER_S = 4.8e12  # of an H200
ISSUE_PER_S = MULTIPROCESSORS * SM_90.issue_per_cycle * CLOCK_HZ


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
        self.warps, self.bytes = WARPS[capacity], 0  # bytes of the last call's arrays

    def __call__(self, words: np.ndarray, arrays: tuple[np.ndarray, ...]) -> int:
        """Run a call, its batch the first axis of the first array; return the instructions issued."""
        before = sum(self.simulator.counts)
        self.bytes = sum(array.nbytes for array in arrays)
        self.simulator.launch(words, arrays, -(-len(arrays[0]) // self.warps), self.warps)
        return sum(self.simulator.counts) - before


class ProcessFigures(NamedTuple):
    """What the kernel of `process` does on a stream, a warp's instruction as one."""

    capacity: int
    a_message: float  # PTX instructions
    a_call: float  # PTX instructions of a call without messages
    sass_share: float  # SASS to PTX instructions, counted in the code, not as issued
    bytes_a_message: float


def process_figures(path: Path, num_books: int = 16, calls: int = 3) -> ProcessFigures:
    """Count on the first books and calls of a stream, after its opening messages."""
    stream = read_stream(path)
    config = LobConfig(choose_capacity(stream.max_orders), 128, 10)
    kernel = Counted(PROCESS, config.capacity)
    opening = np.ascontiguousarray(stream.opening[:num_books])
    books, _ = process_batch(spec.empty_book(config, (num_books,)), opening, config)
    _, _, idle = cuda_host.process(books, np.zeros((num_books, 0, 8), np.int32), config, kernel=kernel)
    issued = 0
    for call in range(calls):
        messages = stream.messages[:num_books, call * CALL : (call + 1) * CALL]
        books, _, count = cuda_host.process(books, messages, config, kernel=kernel)
        issued += count - idle
    return ProcessFigures(
        capacity=config.capacity,
        a_message=issued / (num_books * calls * CALL),
        a_call=idle / num_books,
        sass_share=kernel.sass_share,
        bytes_a_message=kernel.bytes / (num_books * CALL),
    )


def stream_rows(paths: list[Path]) -> Iterator[str]:
    """Yield the rows of the table of `process` on streams."""
    columns = ("stream", "capacity", "PTX instructions a message", "a call", "SASS/PTX", "bytes a message")
    yield f"| {' | '.join(columns)} | limit of issue, PTX | by SASS | limit of memory |"
    yield "|---" * 9 + "|"
    for path in paths:
        found = process_figures(path)
        issue = ISSUE_PER_S / (found.a_message + found.a_call / CALL) / 1e9
        memory = MEMORY_BYTES_PER_S / found.bytes_a_message / 1e9
        yield (
            f"| {path.stem} | {found.capacity} | {found.a_message:.0f} | {found.a_call:,.0f} | "
            f"{found.sass_share:.2f} | {found.bytes_a_message:.0f} | {issue:.2f} G/s | "
            f"{issue / found.sass_share:.2f} G/s | {memory:.1f} G/s |"
        )


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
    if len(sys.argv) > 1:
        print()
        print("\n".join(stream_rows([Path(argument) for argument in sys.argv[1:]])))
    event = market_figures()
    print(f"\nmarket step: {event:.0f} PTX instructions an event: {ISSUE_PER_S / event / 1e9:.2f} G events/s")


if __name__ == "__main__":
    main()
