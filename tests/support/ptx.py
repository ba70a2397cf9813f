"""A simulator of the PTX that NVRTC makes of the CUDA kernels: 32 lanes with their own program counters, in NumPy.

It runs what the compiler makes for the GPU, device header included, where no GPU is, and counts the instructions that
a warp issues. Memory is the arrays that a call is given: an access outside of them is an error. Lanes that part ways
meet again by running those furthest behind first; `.sync` instructions demand all 32.
Source of the semantics: NVIDIA, "Parallel Thread Execution ISA", version 9.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

LANES = 32
_ALL = np.arange(LANES)
_UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
_SIGNED = {8: np.int8, 16: np.int16, 32: np.int32, 64: np.int64}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


class PtxError(AssertionError):
    """The program did what a GPU would not do, or would do unpredictably."""


def _bits(kind: str) -> tuple[bool, int]:
    """Return (signed, width) of a type such as s32 or b64."""
    return kind[0] == "s", int(kind[1:])


def _as(value: np.ndarray, kind: str) -> np.ndarray:
    signed, width = _bits(kind)
    narrow = value.astype(_UNSIGNED[width])
    return narrow.view(_SIGNED[width]) if signed else narrow


class _Memory:
    """Arrays by address; words of four bytes."""

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self.ranges = [(a.ctypes.data, a.nbytes, a.reshape(-1).view(np.uint32)) for a in arrays if a.nbytes]

    def find(self, address: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the words of the array that the addresses lie in, and their places there."""
        low, high = int(address.min()), int(address.max())
        for start, size, words in self.ranges:
            if start <= low and high + 4 <= start + size:
                return words, ((address - np.uint64(start)) >> np.uint64(2)).astype(np.int64)
        raise PtxError(f"an access at {low:#x}..{high:#x} lies in none of the call's arrays")


class Program:
    """One kernel of a PTX text."""

    def __init__(self, text: str) -> None:
        self.constants = {}
        pattern = r"\.const \.align \d+ \.b8 (\w+)\[(\d+)\] = \{([\d, ]+)\}"
        for name, size, values in re.findall(pattern, text):
            content = np.zeros(int(size), np.uint8)  # zeros at the end are not spelt out
            given = list(map(int, values.split(",")))
            content[: len(given)] = given
            self.constants[name] = content.view(np.uint32)
        self.shared_bytes = int(re.findall(r"\.shared \.align \d+ \.b8 \w+\[(\d+)\]", text)[0])
        body = text[text.index(".entry") :]
        body = re.sub(r"//[^\n]*", "", body[body.index("{") + 1 : body.rindex("}")])
        self.labels: dict[str, int] = {}
        self.lines: list[str] = []
        for raw in body.split("\n"):
            line = raw.strip().rstrip(";")
            label = re.fullmatch(r"(\$\w+):", line)
            if label:
                self.labels[label.group(1)] = len(self.lines)
            elif line and not line.startswith((".", "//")):
                self.lines.append(line)


class Simulator:
    """Runs a program warp by warp; `counts` are the instructions that warps issued, by place in the program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.constants = {name: (number + 1) << 40 for number, name in enumerate(program.constants)}
        self.counts = [0] * len(program.lines)
        self.registers: dict[str, np.ndarray] = {}
        self.special = {name: np.zeros(LANES, np.uint32) for name in ("%tid.x", "%tid.y", "%ctaid.x")}
        self.steps = [self._compile(line, place) for place, line in enumerate(program.lines)]

    def launch(self, words: np.ndarray, arrays: Iterable[np.ndarray], blocks: int, warps: int) -> None:
        """Run a grid of (blocks, 1, 1) blocks of (32, warps, 1) lanes on the only parameter, int64 `words`."""
        self.memory, self.params = _Memory(arrays), words.view(np.uint64)
        for block in range(blocks):
            self.shared = np.full(self.program.shared_bytes // 4, 0xA5A5A5A5, np.uint32)
            for row in range(warps):  # warps never meet: no barrier of a block is used
                values = (_ALL, np.full(LANES, row), np.full(LANES, block))
                for name, value in zip(self.special, values, strict=True):
                    self.special[name][:] = value
                self._run_warp()

    def issued(self) -> Counter[str]:
        """Return how many instructions were issued, by operation."""
        found: Counter[str] = Counter()
        for line, count in zip(self.program.lines, self.counts, strict=True):
            found[re.sub(r"^@!?%p\d+\s+", "", line).split()[0]] += count
        return +found

    def _run_warp(self) -> None:
        self.registers.clear()
        end, here, places = len(self.steps), 0, None
        self.mask, self.full = np.ones(LANES, bool), True
        while True:
            if places is not None:
                here = int(places.min())
                self.mask = places == here
                self.full = bool(self.mask.all())
                places = None if self.full else places
            if here >= end:
                return
            self.counts[here] += 1
            target = self.steps[here]()
            if places is not None:
                places[self.mask] = here + 1 if target is None else target[self.mask]
            elif target is None:
                here += 1
            elif (target == target[0]).all():
                here = int(target[0])
            else:
                places = target.copy()

    # Operands.

    def _value(self, text: str, kind: str = "u64") -> Callable[[], np.ndarray]:
        if text in self.special:
            return lambda: self.special[text]
        if text.startswith("%"):
            return lambda: self.registers[text]
        if text in self.constants:
            number, width = self.constants[text], 64
        else:  # a number, or the address of the shared memory or of the parameters, which begin at 0
            number = int(text, 0) if re.fullmatch(r"-?\d\w*", text) else 0
            width = 8 if kind == "pred" else _bits(kind)[1]
        constant = np.full(LANES, number & (2**width - 1), _UNSIGNED[width])
        return lambda: constant

    def _set(self, name: str, value: np.ndarray) -> None:
        if name == "_":
            return
        if not self.full:
            old = self.registers.get(name)
            value = value if old is None else np.where(self.mask, value, old)
        self.registers[name] = value

    def _address(self, text: str) -> Callable[[], np.ndarray]:
        base, _, offset = text.strip("[]").partition("+")
        value = self._value(base)
        plus = int(offset or 0)
        return lambda: (value().astype(np.int64) + plus).astype(np.uint64)

    # Instructions.

    def _compile(self, line: str, place: int) -> Callable[[], Any]:
        guard = re.match(r"@(!?)(%p\d+)\s+(.*)", line)
        if guard:
            return self._branch(guard.group(3), place, guard.group(2), bool(guard.group(1)))
        operation, *words = line.split()
        parts = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,]+", "".join(words))
        name, *modifiers = operation.split(".")
        if name in ("bra", "ret"):
            return self._branch(line, place, None, False)
        if name in ("ld", "st"):
            return self._access(name, modifiers, parts)
        if name == "bar" or modifiers[:1] == ["sync"]:
            return self._together(name, modifiers, parts)
        compute = self._compute(name, modifiers, parts)
        target = parts[0]

        def step() -> None:
            self._set(target, compute())

        return step

    def _branch(self, line: str, here: int, predicate: str | None, negated: bool) -> Callable[[], np.ndarray]:
        operation, _, label = line.partition("$")
        if not operation.startswith(("bra", "ret")):
            raise PtxError(f"no predicate is known for {line}")
        place = len(self.program.lines) if operation.startswith("ret") else self.program.labels[f"${label.strip()}"]
        target = np.full(LANES, place)

        def step() -> np.ndarray:
            if predicate is None:
                return target
            taken = self.registers[predicate] != negated
            return np.where(taken, target, here + 1)

        return step

    def _access(self, name: str, modifiers: list[str], parts: list[str]) -> Callable[[], None]:
        space, vector, kind = modifiers[0], 4 if "v4" in modifiers else 1, modifiers[-1]
        if space not in ("global", "shared", "const", "param"):
            raise PtxError(f"{name}.{space} is not simulated: a value went through memory of its lane")
        where, what = (parts[1], parts[0]) if name == "ld" else (parts[0], parts[1])
        names = [part.strip() for part in what.strip("{}").split(",")]
        values = [self._value(part, kind) for part in names]
        address = self._address(where)

        def locate() -> tuple[np.ndarray, np.ndarray]:
            at = address()[self.mask]
            if (at % np.uint64(4 * vector)).any():
                raise PtxError(f"{name} {where}: an address is not a multiple of {4 * vector}")
            if space == "global":
                return self.memory.find(at)
            words = self.shared
            if space == "const":
                words = list(self.program.constants.values())[int(at[0] >> np.uint64(40)) - 1]
                at = at & np.uint64(2**40 - 1)
            places = (at >> np.uint64(2)).astype(np.int64)
            if (places < 0).any() or (places + vector > len(words)).any():
                raise PtxError(f"{name}.{space} {where}: outside of its memory")
            return words, places

        def load_parameter() -> None:
            self._set(names[0], self.params[(address() >> np.uint64(3)).astype(np.int64)])

        def load() -> None:
            words, places = locate()
            for number, register in enumerate(names):
                value = np.zeros(LANES, np.uint32)
                value[self.mask] = words[places + number]
                wide = kind == "s32" and register.startswith("%rd")  # a wider register takes the sign
                self._set(register, value.view(np.int32).astype(np.int64).view(np.uint64) if wide else value)

        def store() -> None:
            words, places = locate()
            for number, value in enumerate(values):
                words[places + number] = value().astype(np.uint32)[self.mask]

        if space == "param":
            return load_parameter
        return load if name == "ld" else store

    def _together(self, name: str, modifiers: list[str], parts: list[str]) -> Callable[[], None]:
        values = [self._value(part, "b32") for part in parts]

        def step() -> None:
            if not self.full:
                raise PtxError(f"{name}.{'.'.join(modifiers)} without all lanes")
            if name == "vote":
                ballot = int(np.packbits(values[1](), bitorder="little").view(np.uint32)[0])
                self._set(parts[0], np.full(LANES, ballot, np.uint32))
            elif name == "redux":
                total = int(values[1]().astype(np.uint64).sum()) & 0xFFFFFFFF
                self._set(parts[0], np.full(LANES, total, np.uint32))
            elif name == "shfl":
                source = _ALL - values[2]().astype(np.int64)
                moved = values[1]()[np.maximum(source, 0)]
                self._set(parts[0].partition("|")[0], np.where(source >= 0, moved, values[1]()))
            elif name != "bar":
                raise PtxError(f"{name} is not simulated")

        if name == "shfl" and modifiers[:2] != ["sync", "up"]:
            raise PtxError(f"shfl.{'.'.join(modifiers)} is not simulated")
        return step

    def _compute(self, name: str, modifiers: list[str], parts: list[str]) -> Callable[[], np.ndarray]:
        kind = modifiers[-1]
        read = [self._value(part, kind) for part in parts[1:]]
        if name == "setp":
            compare = _COMPARE[modifiers[0]]
            return lambda: compare(_as(read[0](), kind), _as(read[1](), kind))
        if name == "selp":
            return lambda: np.where(read[2](), _as(read[0](), kind), _as(read[1](), kind)).astype(
                _UNSIGNED[_bits(kind)[1]]
            )
        if name == "cvt":
            return lambda: _as(_as(read[0](), kind), modifiers[0]).astype(_UNSIGNED[_bits(modifiers[0])[1]])
        if name in ("cvta", "mov"):
            unsigned = bool if kind == "pred" else _UNSIGNED[_bits(kind)[1]]
            return lambda: read[0]().astype(unsigned)
        if kind == "pred":
            logic = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not}[name]
            return lambda: logic(*(value() for value in read))
        return self._arithmetic(name, modifiers, read)

    def _arithmetic(
        self, name: str, modifiers: list[str], read: list[Callable[[], np.ndarray]]
    ) -> Callable[[], np.ndarray]:
        kind = modifiers[-1]
        signed, width = _bits(kind)
        unsigned = _UNSIGNED[width]

        def typed(place: int) -> np.ndarray:
            return _as(read[place](), kind)

        def shift() -> np.ndarray:
            amount = read[1]().astype(np.int64)
            inside = np.minimum(amount, width - 1).astype(unsigned)
            if name == "shr" and signed:
                return typed(0) >> inside.astype(_SIGNED[width])
            moved = typed(0) << inside if name == "shl" else typed(0) >> inside
            return np.where(amount < width, moved, unsigned(0))

        def wide() -> np.ndarray:
            long = np.int64 if signed else np.uint64
            return (typed(0).astype(long) * typed(1).astype(long)).astype(_UNSIGNED[2 * width])

        def high() -> np.ndarray:
            product = [int(a) * int(b) >> width for a, b in zip(typed(0), typed(1), strict=True)]
            return np.array([value & (2**width - 1) for value in product], unsigned)

        def divide() -> np.ndarray:
            divisor = np.where(typed(1) == 0, 1, typed(1)).astype(unsigned)
            return typed(0) // divisor

        def insert() -> np.ndarray:
            at, length = int(read[2]()[0]), int(read[3]()[0])
            field = ((1 << length) - 1) << at
            return (typed(1) & unsigned(~field & (2**width - 1))) | ((typed(0) << unsigned(at)) & unsigned(field))

        def count(text: Callable[[str], int]) -> Callable[[], np.ndarray]:
            return lambda: np.array([text(f"{int(word):0{width}b}") for word in typed(0)], np.int64).astype(np.uint32)

        table: dict[str, Callable[[], np.ndarray]] = {
            "add": lambda: typed(0) + typed(1),
            "sub": lambda: typed(0) - typed(1),
            "mad": lambda: typed(0) * typed(1) + typed(2),
            "min": lambda: np.minimum(typed(0), typed(1)),
            "max": lambda: np.maximum(typed(0), typed(1)),
            "neg": lambda: -typed(0),
            "abs": lambda: np.abs(typed(0)).astype(unsigned),
            "not": lambda: ~typed(0),
            "and": lambda: typed(0) & typed(1),
            "or": lambda: typed(0) | typed(1),
            "xor": lambda: typed(0) ^ typed(1),
            "shl": shift,
            "shr": shift,
            "bfi": insert,
            "popc": count(lambda bits: bits.count("1")),
            "brev": count(lambda bits: int(bits[::-1], 2)),
            "clz": count(lambda bits: bits.find("1") if "1" in bits else width),
            "bfind": count(lambda bits: bits.find("1")),  # of .shiftamt: leading zeros, all ones where there is no bit
        }
        if name == "mul":
            return {"wide": wide, "hi": high, "lo": lambda: (typed(0) * typed(1)).astype(unsigned)}[modifiers[0]]
        if name == "div" and not signed:
            return divide
        if name not in table or (name == "bfind" and modifiers[0] != "shiftamt"):
            raise PtxError(f"{name}.{'.'.join(modifiers)} is not simulated")
        compute = table[name]
        if name in ("popc", "clz", "bfind"):
            return compute
        return lambda: compute().astype(unsigned)
