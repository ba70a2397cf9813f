"""The differential soak: the backends against each other word by word, the oracle on a sample of the calls.

A round is one seed: a profile of messages, a shape of book with its policies, BOOKS books, CALLS calls of MESSAGES. It
depends on its seed alone, so a range of seeds can be split over machines and taken up again after an interruption.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import jax
import numpy as np
from jax.sharding import NamedSharding

from agents.run_files import write_json, write_npz
from agents.sharding import SPLIT, make_mesh
from experiments.soak_streams import PROFILES, make_stream
from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.oracle import Oracle
from kernels.lob.spec import Book, LobConfig, LobOutput
from sim.engine import api

BOOKS: Final = 256
MESSAGES: Final = 100
# The XLA engine's cost grows with the capacity and each shape is compiled once: 24 shapes, most of them small.
CAPACITIES: Final = (64, 128, 64, 64, 128, 64, 64, 256, 64, 64, 128, 64)
LARGEST_EVERY: Final = 24
CALLS: Final = {64: 80, 128: 60, 256: 30, 512: 10}
ORACLE_PER_CALL: Final = 1  # books of BOOKS that the oracle judges: 1 in 256 of the calls

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Round:
    """One seed's work."""

    seed: int
    profile: str
    config: LobConfig
    calls: int
    books: int


def plan_round(seed: int, books: int = BOOKS, calls: int | None = None) -> Round:
    """Return the round of `seed`: 24 shapes with every policy under every queue model, and the profiles in turn."""
    shape = seed % LARGEST_EVERY
    config = LobConfig(
        capacity=512 if shape == LARGEST_EVERY - 1 else CAPACITIES[shape % len(CAPACITIES)],
        max_fills=(96, 24)[shape // 12],
        depth_levels=(5, 10)[shape // 12],
        fills_mode=shape // 12,
        self_trade=shape % len(spec.SELF_TRADE_NAMES),
        queue_model=shape // len(spec.SELF_TRADE_NAMES) % len(spec.QUEUE_NAMES),
    )
    names = sorted(PROFILES)
    return Round(seed, names[seed % len(names)], config, calls or CALLS[config.capacity], books)


class Difference(Exception):  # noqa: N818 - what a soak looks for, not a programming error
    """Two backends gave other words for the same call."""

    def __init__(self, where: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        super().__init__(json.dumps(where))
        self.where = where
        self.arrays = arrays


@cache
def _other(backend: str, config: LobConfig, books: int) -> Callable[[Book, np.ndarray], Any]:
    """Return the compiled batch of `backend` over all devices, and how its arrays are placed."""
    devices = jax.devices("cpu") if backend in ("xla", "cpu") else jax.devices()
    mesh = make_mesh(books, devices=devices)
    process = jax.vmap(api.make_process(config, backend), (0, 0, None))
    sharded = jax.shard_map(
        lambda book, rows: process(book, rows, 0), mesh=mesh, in_specs=SPLIT, out_specs=SPLIT, check_vma=False
    )
    compiled, placed = jax.jit(sharded), NamedSharding(mesh, SPLIT)
    return lambda book, rows: compiled(jax.device_put(book, placed), jax.device_put(rows, placed))


def run_round(task: Round, backend: str) -> dict[str, int]:
    """Run one round; raise Difference at the first word that differs. Returns counts of what was met."""
    stream = make_stream(task.seed, PROFILES[task.profile], task.calls, task.books, MESSAGES)
    books = spec.empty_book(task.config, (task.books,))
    theirs: Any = copy_book(books)
    apply = _other(backend, task.config, task.books)
    met = {"messages": 0, "oracle_calls": 0, "fills": 0, "trades": 0, "accepted": 0}
    for call, rows in enumerate(stream):
        before = copy_book(books)
        theirs, their_out = apply(theirs, rows)  # runs while the host's kernel does
        books, out = process_batch(books, rows, task.config, "cpu")
        judged = _judge(task, call, before, rows, books, out)
        compare(task, call, backend, before, rows, (books, out), (theirs, their_out))
        met["messages"] += rows.shape[0] * rows.shape[1]
        met["oracle_calls"] += judged
        met["fills"] += int(out.num_fills.sum())
        met["trades"] += int(out.summary[:, spec.SUM_NUM_TRADES].sum())
        met["accepted"] += int((out.reason == spec.OK).sum())
    counters = {name: int(books.counters[:, i].view(np.uint32).sum()) for i, name in enumerate(COUNTERS)}
    return met | counters


def copy_book(books: Book) -> Book:
    """Return `books` in memory of its own: JAX may still read the arrays it was given when the host changes them."""
    return Book(*(field.copy() for field in books))


COUNTERS: Final = (
    "rejected_full",
    "evicted",
    "unknown_cancels",
    "fills_dropped",
    "lots_rejected_full",
    "lots_evicted",
    "self_trades",
    "lots_self_trade",
)


def _judge(task: Round, call: int, before: Book, rows: np.ndarray, books: Book, out: LobOutput) -> int:
    """Let the oracle repeat a sample of the call's books from their state before it."""
    for turn in range(ORACLE_PER_CALL):
        market = (task.seed * 7919 + call * 31 + turn) % task.books
        judge = Oracle(*task.config)
        judge.load(Book(*(field[market] for field in before)))
        answer = judge.apply(rows[market])
        names = (*Book._fields, *LobOutput._fields)
        pairs = zip(names, (*judge.arrays(), *answer), (*books, *out), strict=True)
        for name, want, have in pairs:
            if not np.array_equal(want, have[market]):
                _fail(task, call, "oracle", name, market, before, rows, np.asarray(want), have[market])
    return ORACLE_PER_CALL


def compare(task: Round, call: int, backend: str, before: Book, rows: np.ndarray, mine: tuple, theirs: tuple) -> None:
    """Raise Difference where a word of (books, output) `mine` and `theirs` differs; `before`, `rows` made the call."""
    names = (*Book._fields, *LobOutput._fields)
    pairs = zip(names, (*mine[0], *mine[1]), (*theirs[0], *theirs[1]), strict=True)
    for name, want, have in pairs:
        have = np.asarray(have)  # noqa: PLW2901 - fetched only when it is needed
        if not np.array_equal(want, have):
            market = int(np.argwhere((want != have).reshape(len(want), -1).any(axis=1))[0, 0])
            _fail(task, call, backend, name, market, before, rows, want[market], have[market])


def _fail(
    task: Round,
    call: int,
    backend: str,
    field: str,
    market: int,
    before: Book,
    rows: np.ndarray,
    want: np.ndarray,
    have: np.ndarray,
) -> None:
    where = {
        "seed": task.seed,
        "profile": task.profile,
        "config": task.config._asdict(),
        "call": call,
        "book": market,
        "field": field,
        "backends": ["cpu", backend],
    }
    state = {f"book_{name}": getattr(before, name)[market] for name in Book._fields}
    raise Difference(where, {**state, "messages": rows[market], "expected": want, "actual": have})


def write_difference(found: Difference, folder: Path) -> Path:
    """Write the book before the call, its messages and what differed to FOLDER/soak_SEED.npz; return the path."""
    path = folder / f"soak_{found.where['seed']}.npz"
    return write_npz(path, {"where": np.array(json.dumps(found.where)), **found.arrays})


def soak(
    messages: int,
    first_seed: int,
    backend: str,
    out_file: Path | None,
    resume: bool,
    report: Report,
    *,
    books: int = BOOKS,
    calls: int | None = None,
) -> dict[str, Any]:
    """Run rounds from `first_seed` until `messages` messages have gone through both backends; stop at a difference.

    Returns `ok, backend, messages, wall_s, messages_per_s, first_seed, next_seed, rounds, difference, failing_stream`
    and counts of what was met. `books` and `calls` shrink a round for tests. With `out_file` the result so far is
    written after every round, and `resume` goes on from it.
    Raises ValueError where it belongs to another backend or first seed.
    """
    result = _start(first_seed, backend, out_file if resume else None)
    while result["messages"] < messages:
        task = plan_round(result["next_seed"], books, calls)
        report(result["messages"], messages, f"seed {task.seed} {task.profile} {task.config.capacity}")
        began = perf_counter()
        try:
            met = run_round(task, backend)
        except Difference as found:
            folder = out_file.parent if out_file else Path.cwd()
            result |= {"ok": False, "difference": found.where, "failing_stream": str(write_difference(found, folder))}
            _write(result, out_file)
            return result
        result["rounds"] += 1
        result["next_seed"] += 1
        result["wall_s"] += perf_counter() - began
        for name, count in met.items():
            result[name] = result.get(name, 0) + count
        result["messages_per_s"] = result["messages"] / result["wall_s"]
        _write(result, out_file)
    report(result["messages"], messages, "")
    return result


def _start(first_seed: int, backend: str, saved: Path | None) -> dict[str, Any]:
    fresh = {
        "ok": True,
        "backend": backend,
        "messages": 0,
        "wall_s": 0.0,
        "messages_per_s": 0.0,
        "first_seed": first_seed,
        "next_seed": first_seed,
        "rounds": 0,
        "difference": None,
        "failing_stream": None,
    }
    if saved is None or not saved.is_file():
        return fresh
    try:
        old = json.loads(saved.read_text())
        same = (old["backend"], old["first_seed"]) == (backend, first_seed)
        missing = sorted(fresh.keys() - old.keys())
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{saved}: not the result of a soak ({error!r})") from error
    if missing or not same:
        raise ValueError(
            f"{saved}: a soak of {old['backend']} from seed {old['first_seed']}; give the same, or no --resume"
        )
    return old | {"ok": True, "difference": None, "failing_stream": None}


def _write(result: dict[str, Any], out_file: Path | None) -> None:
    if out_file is not None:
        write_json(out_file, result)
