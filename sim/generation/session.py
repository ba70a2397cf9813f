"""Whole generated recordings: sequences in parallel threads, block by block, into LOBSTER files.

Memory does not grow with the number of rows: a thread holds one block and its text.
"""

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from market_models.calibration import Calibration
from sim.generation.files import PairFile, existing_files, publish, staged, stem_of
from sim.generation.market import NS_PER_S, MarketRows
from sim.generation.request import Request
from sim.generation.text import RowText, price_unit

Progress = Callable[[int, int], None]

_POLL_S: Final = 0.2
_BYTES_A_ROW: Final = (60, 32)  # of a row and of each of its levels, on the safe side


@dataclass(frozen=True)
class Generated:
    """What was written, and how fast. Seconds of threads are divided by the number of threads."""

    files: list[Path]
    messages: int  # events of the flow in the books, burn-in left out
    rows: int  # lines of the message files
    seconds: float  # wall clock, compilation left out
    compile_s: float
    generate_s: float  # flow and book
    write_s: float  # text and files
    counters: dict[str, int] = field(default_factory=dict)  # what the books' capacity cost


@dataclass
class _Sequence:
    """Outcome of one sequence."""

    parts: list[Path]
    events: int
    counters: dict[str, int]
    generate_s: float
    write_s: float


def generate(
    calibration: Calibration,
    out_dir: Path,
    request: Request,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Generated:
    """Write the sequences of `request` into `out_dir`, all of them or none; the same request gives the same bytes.

    Raises FileExistsError where the folder holds generated files of this instrument and depth, unless `overwrite`,
    which replaces them all; ValueError for a calibration that cannot be generated from.
    """
    price_unit(calibration.instrument)
    existing = existing_files(out_dir, calibration.instrument, request.levels)
    if existing and not overwrite:
        raise FileExistsError(
            f"{existing[0]} is there already: give another folder, or --overwrite to replace the generated files of "
            f"{calibration.instrument.name} in this one"
        )
    started = time.perf_counter()
    _compile(calibration, request)
    compiled = time.perf_counter()
    with staged(out_dir) as folder:
        _require_space(folder, request)
        done = _run_all(calibration, folder, request, progress)
        files = publish([part for one in done for part in one.parts], existing, out_dir)
    threads = min(request.threads, request.sequences)
    return Generated(
        files=files,
        messages=sum(one.events for one in done),
        rows=request.rows,
        seconds=time.perf_counter() - compiled,
        compile_s=compiled - started,
        generate_s=sum(one.generate_s for one in done) / threads,
        write_s=sum(one.write_s for one in done) / threads,
        counters={name: sum(one.counters[name] for one in done) for name in done[0].counters},
    )


def _compile(calibration: Calibration, request: Request) -> None:
    """Compile the kernels before threads need them, by one row."""
    market = MarketRows(calibration, request.seed, levels=request.levels, capacity=request.capacity, block_rows=1)
    RowText(calibration.instrument, 1, request.levels).encode(market.next_block(1))


def _require_space(folder: Path, request: Request) -> None:
    needed = request.rows * (_BYTES_A_ROW[0] + _BYTES_A_ROW[1] * request.levels)
    free = shutil.disk_usage(folder).free
    if not request.as_zip and needed > free:
        raise ValueError(f"about {needed / 1e9:,.1f} GB are needed in {folder.parent}, {free / 1e9:,.1f} GB are free")


def _run_all(calibration: Calibration, folder: Path, request: Request, progress: Progress | None) -> list[_Sequence]:
    """Run every sequence on the threads and show the rows that are done; the first error ends them all."""
    stop = threading.Event()
    written = [0] * request.sequences
    with ThreadPoolExecutor(request.threads) as pool:
        try:
            futures: list[Future[_Sequence]] = [
                pool.submit(_run_one, calibration, folder, request, number, written, stop)
                for number in range(request.sequences)
            ]
            waiting = set(futures)
            while waiting:
                ended, waiting = wait(waiting, _POLL_S, FIRST_EXCEPTION)
                if progress is not None:
                    progress(sum(written), request.rows)
                for future in ended:
                    future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _run_one(
    calibration: Calibration, folder: Path, request: Request, number: int, written: list[int], stop: threading.Event
) -> _Sequence:
    clock = time.perf_counter
    began = clock()
    market = MarketRows(
        calibration,
        request.seed,
        number,
        levels=request.levels,
        capacity=request.capacity,
        start_s=request.start_s,
        burn_in_events=request.burn_in_events,
    )
    text = RowText(calibration.instrument, market.max_block_rows, request.levels)
    label = request.first_label + number
    generate_s, write_s, end_s = clock() - began, 0.0, request.start_s
    pair = PairFile(folder, label)
    try:
        while written[number] < request.messages and not stop.is_set():
            began = clock()
            block = market.next_block(request.messages - written[number])
            drawn = clock()
            pair.write(text.encode(block))
            written[number] += len(block.time_ns)
            end_s = int(block.time_ns[-1]) // NS_PER_S + 1
            generate_s += drawn - began
            write_s += clock() - drawn
        began = clock()
        stem = stem_of(calibration.instrument, label, request.start_s, end_s)
        parts = [] if stop.is_set() else pair.finish(stem, request.levels, as_zip=request.as_zip)
        write_s += clock() - began
    finally:
        pair.close()
    return _Sequence(parts, market.events, market.counters, generate_s, write_s)
