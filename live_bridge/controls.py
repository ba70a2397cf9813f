"""What guards positions and the portfolio: the configuration's section `controls`. Everything is off by default.

Each part is a NamedTuple with `checked()`. `controls_from_dict` reads the section strictly: a key that is not known is
named with its path, and so is a value of another type.
"""

from types import UnionType
from typing import Any, Final, NamedTuple, get_args, get_type_hints

from kernels import checks as check
from kernels.risk.caps import Caps
from kernels.risk.correlation import CorrelationConfig
from kernels.risk.drawdown import DrawdownConfig
from kernels.risk.exposure import ExposureLimits
from kernels.risk.filtered import EWMA_LEAST
from kernels.risk.stops import StopConfig
from kernels.risk.tails import MOMENTS_LEAST, checked_tail

MINUTE_NS: Final = 60 * 10**9
OWN: Final = "session"  # what the session trades, among the assets of the portfolio
ACTIONS: Final = ("REDUCE_ONLY", "HALT")
METHODS: Final = ("historical", "ewma")


class InventoryBounds(NamedTuple):
    """The session's own bounds; quotes that could leave them are cut, in the decision's own direction only."""

    low_lots: int
    high_lots: int

    def checked(self) -> "InventoryBounds":
        """Return the bounds; ValueError unless low <= 0 <= high, so that flat is always allowed."""
        check.whole("inventory.low_lots", self.low_lots, -(2**31), 0)
        check.whole("inventory.high_lots", self.high_lots, 0, 2**31)
        return self


class Holding(NamedTuple):
    """An asset held beside the session's instrument; its quantity and mark come as `HoldingMark` events."""

    asset: str
    group: str


class VarLimits(NamedTuple):
    """Largest shares of equity that one interval may cost in the tail; ES 1.0 is out of reach of the default."""

    var_frac: float = 0.03
    es_frac: float = 1.0
    tail_frac: float = 0.01
    method: str = "historical"  # or "ewma": filtered by exponentially weighted volatility
    decay: float = 0.94  # of "ewma"

    def checked(self) -> "VarLimits":
        """Return the limits; ValueError names the field."""
        check.number("var.var_frac", self.var_frac, 0)
        check.number("var.es_frac", self.es_frac, 0)
        checked_tail(check.number("var.tail_frac", self.tail_frac))
        if self.method not in METHODS:
            raise ValueError(f"var.method is {self.method!r}, expected one of {', '.join(METHODS)}")
        if not 0.0 < check.number("var.decay", self.decay) < 1.0:
            raise ValueError(f"var.decay is {self.decay}, expected a number above 0 and below 1")
        return self

    def needed(self) -> int:
        """Return the observations below which there is no number."""
        least = EWMA_LEAST if self.method == "ewma" else MOMENTS_LEAST
        return max(least, int(-(-1.0 // self.tail_frac)))


class CorrelationRule(NamedTuple):
    """Correlation of the session to each holding, as held."""

    half_life: float = 60.0
    min_observations: int = 60
    limit_frac: float = 0.80


class SizingRule(NamedTuple):
    """Volatility target and caps on the position that the inventory cap allows; quotes shrink with it."""

    target_volatility_frac: float = 0.12  # a year, of equity
    periods_per_year: float = 525_600.0  # intervals
    min_observations: int = 60
    caps: Caps = Caps()

    def checked(self) -> "SizingRule":
        """Return the rule; ValueError names the field."""
        check.number("sizing.target_volatility_frac", self.target_volatility_frac, 0, open_low=True)
        check.number("sizing.periods_per_year", self.periods_per_year, 0, open_low=True)
        check.whole("sizing.min_observations", self.min_observations, MOMENTS_LEAST, 10**6)
        self.caps.checked()
        return self


class HedgeRule(NamedTuple):
    """Suggest a hedge in a holding whenever it moved by at least `min_change` units."""

    asset: str
    min_observations: int = 60
    min_change: int = 1


class Actions(NamedTuple):
    """What a breach leads to until a person resumes: REDUCE_ONLY, or HALT."""

    var: str = "REDUCE_ONLY"
    exposure: str = "REDUCE_ONLY"
    correlation: str = "REDUCE_ONLY"
    drawdown: str = "HALT"
    daily_loss: str = "HALT"

    def checked(self) -> "Actions":
        """Return the actions; ValueError names the one that is none."""
        for name, value in self._asdict().items():
            if value not in ACTIONS:
                raise ValueError(f"actions.{name} is {value!r}, expected one of {', '.join(ACTIONS)}")
        return self


class PortfolioConfig(NamedTuple):
    """The portfolio level; None: that control is off. Times are event time."""

    interval_ns: int = MINUTE_NS  # between observations; taken at the first book or timer after it
    window: int = 250  # observations kept
    max_mark_age_ns: int = MINUTE_NS  # an older mark is none
    grace_ns: int = 5 * MINUTE_NS  # without numbers; then only what reduces leaves
    group: str = OWN  # of the session's instrument
    holdings: tuple[Holding, ...] = ()
    var: VarLimits | None = None
    exposure: ExposureLimits | None = None
    correlation: CorrelationRule | None = None
    drawdown: DrawdownConfig | None = None
    sizing: SizingRule | None = None
    hedge: HedgeRule | None = None
    actions: Actions = Actions()

    def checked(self) -> "PortfolioConfig":
        """Return the configuration; ValueError names the field."""
        for name in ("interval_ns", "max_mark_age_ns"):
            check.whole(name, getattr(self, name), 1)
        check.whole("grace_ns", self.grace_ns, 0)
        check.names("portfolio assets", self.assets())
        check.names("group", (self.group, *{f"{each.group}/" for each in self.holdings}))
        for part in (self.var, self.exposure, self.drawdown, self.sizing, self.actions):
            if part is not None:
                part.checked()
        if self.correlation is not None:
            if not self.holdings:
                raise ValueError("correlation needs at least one of holdings: nothing else is held")
            self.correlation_config().checked()
        if self.hedge is not None and self.hedge.asset not in self.assets()[1:]:
            raise ValueError(f"hedge.asset {self.hedge.asset!r} is none of holdings")
        if self.hedge is not None:
            check.whole("hedge.min_observations", self.hedge.min_observations, MOMENTS_LEAST)
            check.whole("hedge.min_change", self.hedge.min_change, 1)
        check.whole("window", self.window, max(self.needed(), 1), 100_000)
        return self

    def assets(self) -> tuple[str, ...]:
        """Return the names of all assets, the session's own first."""
        return (OWN, *(each.asset for each in self.holdings))

    def needed(self) -> int:
        """Return the observations below which a number that is asked for does not exist."""
        wanted = [self.var.needed()] if self.var else []
        return max([*wanted, self.sizing.min_observations if self.sizing else 0, 0])

    def correlation_config(self) -> CorrelationConfig:
        """Return what kernels/risk/correlation.py asks for."""
        assert self.correlation is not None, "there is no correlation rule"
        return CorrelationConfig((OWN,), self.assets()[1:], *self.correlation)


class ControlsConfig(NamedTuple):
    """The section `controls` of a session's configuration."""

    stops: StopConfig = StopConfig()
    stop_bar_ns: int = MINUTE_NS  # bars of the average true range
    inventory: InventoryBounds | None = None
    portfolio: PortfolioConfig | None = None

    def checked(self) -> "ControlsConfig":
        """Return the configuration; ValueError names the field."""
        self.stops.checked()
        check.whole("stop_bar_ns", self.stop_bar_ns, 1)
        for part in (self.inventory, self.portfolio):
            if part is not None:
                part.checked()
        return self

    def has_stops(self) -> bool:
        """Whether any stop is on."""
        stops = self.stops
        return bool(stops.fixed_tick or stops.trailing_tick or stops.atr_multiple_x100 or stops.max_hold_ns)


def as_dict(value: Any) -> Any:
    """Return a NamedTuple as nested dictionaries and lists."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: as_dict(each) for name, each in zip(value._fields, value, strict=True)}  # type: ignore[attr-defined]
    return [as_dict(each) for each in value] if isinstance(value, tuple) else value


def controls_from_dict(data: Any) -> ControlsConfig:
    """Return the section's configuration, checked; ValueError names the path of what is unknown or of another type."""
    return _read(ControlsConfig, data, "controls").checked()


def _read(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {data!r}, expected a section")
    unknown = sorted(set(map(str, data)) - set(kind._fields))
    if unknown:
        raise ValueError(f"{where}.{unknown[0]} is not known; valid: {', '.join(kind._fields)}")
    missing = [name for name in kind._fields if name not in data and name not in kind._field_defaults]
    if missing:
        raise ValueError(f"{where}.{missing[0]} is missing")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in data.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, UnionType):
        return None if value is None else _value(get_args(hint)[0], value, where)
    if hasattr(hint, "_fields"):
        return _read(hint, value, where)
    if get_args(hint):  # tuple[X, ...]
        if not isinstance(value, list):
            raise ValueError(f"{where} is {value!r}, expected a list")
        return tuple(_value(get_args(hint)[0], each, f"{where}[{place}]") for place, each in enumerate(value))
    allowed = (int, float) if hint is float else hint
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise ValueError(f"{where} is {value!r}, expected {hint.__name__}")
    return float(value) if hint is float else value
