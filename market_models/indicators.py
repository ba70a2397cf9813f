"""Technical indicators of bars for research, computed by pandas_ta_classic and checked for look-ahead.

The library names 193 indicators. Those that see later bars are listed in LOOK_AHEAD, those that want more than one
instrument's bars in NEEDS_MORE; both are refused. Every other one is computed, and computed once more without its last
bars: a value that changes is look-ahead, and the call is refused. So options that shift a column back are refused too.
TA-Lib is never asked for, even where it is installed, so that a machine does not decide the values.
The library's vfi counts only bars that move by 20 % unless its `coef` says less.
Cost: three runs of the library an indicator; not for live use, which has kernels of its own.
"""

import difflib
import inspect
import warnings
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kernels import checks as check

if TYPE_CHECKING:
    import pandas as pd

BAR_COLUMNS: Final = ("time_ns", "open", "high", "low", "close", "volume")
LOOK_AHEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tos_stdevall": "it fits one line to the whole series",
        "vp": "it is one volume profile of the whole series, not a value a bar",
    }
)
NEEDS_MORE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "beta": "the closes of a benchmark",
        "correl": "the closes of a benchmark",
        "long_run": "a fast and a slow column",
        "ma": "the name of another indicator: ask for that one",
        "mavp": "a column of periods",
        "short_run": "a fast and a slow column",
        "tsignals": "a column of trends",
        "xsignals": "a column of signals and two thresholds",
    }
)
_CAUSAL_OPTIONS: dict[str, dict[str, Any]] = {
    "dpo": {"centered": False},
    "ichimoku": {"include_chikou": False, "as_dataframe": True},
}
_OPTIONAL_INPUTS = frozenset({"amat", "inertia", "kdj"})  # the library calls their bars optional, yet needs them
_NOT_OPTIONS = frozenset({"talib", "kwargs", "open_", *BAR_COLUMNS})
_TOLERANCE = 1e-9


def indicator_names() -> tuple[str, ...]:
    """Return the names that `compute` takes, in alphabetical order."""
    listed = {name for names in _library().Category.values() for name in names}
    return tuple(sorted(listed - set(LOOK_AHEAD) - set(NEEDS_MORE)))


def compute(
    bars: Mapping[str, Any], names: Iterable[str], options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, np.ndarray]:
    """Return columns float64[N], keyed `name.COLUMN` with the library's column, of N bars.

    `bars` has BAR_COLUMNS: rising times of the bars in nanoseconds, prices above 0, volumes of at least 0. A value is
    nan where the library has none, as before its window is full; row t is known at the close of bar t. `options` are
    the library's keywords by indicator. ValueError for a name or option that is unknown or refused, bars that are not
    valid or too few for an indicator, and an indicator that looks ahead.
    """
    frame, wanted, given = _frame(bars), tuple(names), options or {}
    for name in (*wanted, *given):
        _require_known(name)
    _require_used(given, wanted)
    out = {}
    for name in wanted:
        found = _run(frame, name, given.get(name, {}))
        if found is None:
            raise ValueError(f"{len(frame)} bars are too few for indicator {name!r}")
        if ahead := _changed(frame, name, given.get(name, {}), found):
            raise ValueError(f"indicator {name!r} looks ahead: {ahead} change when later bars are taken away")
        out |= {f"{name}.{column}": values for column, values in found.items()}
    return out


def look_ahead_columns(bars: Mapping[str, Any], name: str, options: Mapping[str, Any] | None = None) -> list[str]:
    """Return the columns of an indicator whose values change when later bars are taken away."""
    _require_known(name)
    frame = _frame(bars)
    found = _run(frame, name, options or {})
    if found is None:
        raise ValueError(f"{len(frame)} bars are too few for indicator {name!r}")
    return _changed(frame, name, options or {}, found)


def _changed(frame: "pd.DataFrame", name: str, options: Mapping[str, Any], found: dict[str, np.ndarray]) -> list[str]:
    """Compare with runs that end one bar earlier and after two thirds of the bars."""
    changed = set()
    for rows in {len(frame) - 1, 2 * len(frame) // 3}:
        part = _run(frame.iloc[:rows], name, options)
        if part is None:  # too short for a value, so there is nothing to compare
            continue
        changed |= {column for column in found if not _same(part.get(column), found[column][:rows])}
    return sorted(changed)


def _same(part: np.ndarray | None, whole: np.ndarray) -> bool:
    return part is not None and np.allclose(part, whole, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)


def _run(frame: "pd.DataFrame", name: str, options: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """Return the indicator's columns, or None where the bars are too few for it."""
    function = getattr(_library(), name)
    parameters = inspect.signature(function).parameters
    fixed = _CAUSAL_OPTIONS.get(name, {}) | ({"talib": False} if "talib" in parameters else {})
    allowed = [key for key in parameters if key not in _NOT_OPTIONS | set(fixed)]
    if unknown := [key for key in options if key not in allowed]:
        raise ValueError(f"options {unknown} of indicator {name!r} are not among {allowed}")
    inputs = {key: frame[key.rstrip("_")] for key in parameters if _is_input(name, parameters[key])}
    result = function(**inputs, **fixed, **options)
    if result is None:
        return None
    table = result.to_frame() if result.ndim == 1 else result
    return {str(column): table[column].to_numpy(np.float64, copy=True) for column in table}


def _is_input(name: str, parameter: inspect.Parameter) -> bool:
    needed = parameter.default is inspect.Parameter.empty or name in _OPTIONAL_INPUTS
    return needed and parameter.name.rstrip("_") in BAR_COLUMNS


def _require_known(name: str) -> None:
    known = indicator_names()
    if name in LOOK_AHEAD:
        raise ValueError(f"indicator {name!r} looks ahead: {LOOK_AHEAD[name]}")
    if name in NEEDS_MORE:
        raise ValueError(f"indicator {name!r} needs more than bars: {NEEDS_MORE[name]}")
    if name not in known:
        close = difflib.get_close_matches(str(name), known, 5)
        hint = f"close ones are {close}" if close else f"there are {len(known)}, see indicator_names()"
        raise ValueError(f"indicator {name!r} is unknown; {hint}")


def _require_used(options: Mapping[str, Any], names: tuple[str, ...]) -> None:
    if unused := sorted(set(options) - set(names)):
        raise ValueError(f"options are given for {unused}, which are not among the names {list(names)}")


def _frame(bars: Mapping[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    if missing := [name for name in BAR_COLUMNS if name not in bars]:
        raise ValueError(f"bars lack {missing}, they must have {list(BAR_COLUMNS)}")
    time_ns = np.asarray(bars["time_ns"])
    if not np.issubdtype(time_ns.dtype, np.integer) or time_ns.ndim != 1 or (np.diff(time_ns) <= 0).any():
        raise ValueError("time_ns must be whole nanoseconds that rise from bar to bar")
    columns = {name: check.positive(name, bars[name], least=3) for name in ("open", "high", "low", "close")}
    columns["volume"] = check.vector("volume", bars["volume"])
    check.same_length(time_ns=time_ns, **columns)
    if (columns["volume"] < 0).any():
        raise ValueError("volume has a value below 0")
    body = np.stack([columns["open"], columns["close"]])
    if (bad := (body.max(0) > columns["high"]) | (body.min(0) < columns["low"])).any():
        raise ValueError(f"bar {int(np.argmax(bad))} has its open or close outside its low..high")
    return pd.DataFrame({k: v.copy() for k, v in columns.items()}, index=pd.DatetimeIndex(time_ns.astype("M8[ns]")))


def _library() -> Any:
    with warnings.catch_warnings():
        # The library asks for the day of the year by pandas' old name while it is imported.
        warnings.filterwarnings("ignore", message="Timestamp.dayofyear is deprecated", category=DeprecationWarning)
        import pandas_ta_classic
    return pandas_ta_classic
