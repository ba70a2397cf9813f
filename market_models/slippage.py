"""Slippage: what an aggressive order pays beyond the touch, ticks a lot, positive when it hurts.

- fixed_ticks: `ticks`. Large orders look too cheap.
- spread_share: `share` x spread. The same, but wide markets cost more.
- volume_share: `coefficient` x min(lots / volume, `max_share`)^2 x abs(price). Small orders are nearly free.
- walk_the_book: mean distance of the levels taken from the touch; lots beyond the last level at it + `beyond_tick`.
  Blind to refilling and hidden depth: too dear for slow orders, too cheap where the book flees.

A model is a NamedTuple, so its numbers may be traced by JAX; `slippage_tick` takes the array namespace `xp` (numpy or
jax.numpy) first and any leading batch axes. Another model is a class and one line in SLIPPAGES.
Source: volume share is the model of the backtester Zipline (Quantopian); the others are definitions.
"""

from collections.abc import Callable
from math import isfinite
from typing import Any, NamedTuple


class Quote(NamedTuple):
    """What an order meets; a model reads what its formula names."""

    touch_tick: Any  # [...] opposite best price
    spread_tick: Any  # [...]
    volume_lots: Any  # [...] what the market trades in the order's interval
    levels: Any  # [..., L, 2] (price_tick, lots) of the opposite side, best first, lots 0 past the last


class FixedTicks(NamedTuple):
    """The same for every order."""

    ticks: Any = 0.0

    def slippage_tick(self, xp: Any, quote: Quote, lots: Any) -> Any:
        """Return slippage [...] in ticks a lot."""
        return self.ticks + 0.0 * _float(xp, lots)


class SpreadShare(NamedTuple):
    """A share of the spread."""

    share: Any = 0.5

    def slippage_tick(self, xp: Any, quote: Quote, lots: Any) -> Any:
        """Return slippage [...] in ticks a lot."""
        return self.share * _float(xp, quote.spread_tick) + 0.0 * _float(xp, lots)


class VolumeShare(NamedTuple):
    """Quadratic in the share of the interval's volume."""

    coefficient: Any = 0.1
    max_share: Any = 0.025

    def slippage_tick(self, xp: Any, quote: Quote, lots: Any) -> Any:
        """Return slippage [...] in ticks a lot; an order in an interval without volume counts as max_share."""
        volume = _float(xp, quote.volume_lots)
        share = xp.where(volume > 0, _float(xp, lots) / xp.maximum(volume, 1.0), self.max_share)
        return self.coefficient * xp.minimum(share, self.max_share) ** 2 * xp.abs(_float(xp, quote.touch_tick))

    def fillable_lots(self, xp: Any, quote: Quote, lots: Any) -> Any:
        """Return how many of `lots` the interval fills, whole lots: at most max_share of its volume."""
        return xp.minimum(_float(xp, lots), xp.floor(self.max_share * _float(xp, quote.volume_lots)))


class WalkTheBook(NamedTuple):
    """The visible levels, one after the other."""

    beyond_tick: Any = 1.0  # lots beyond the last visible level are this much worse than it

    def slippage_tick(self, xp: Any, quote: Quote, lots: Any) -> Any:
        """Return slippage [...] in ticks a lot, 0 for an order of no lots; an empty side costs beyond_tick."""
        wanted = _float(xp, lots)[..., None]
        size = _float(xp, quote.levels[..., 1])
        away = xp.abs(_float(xp, quote.levels[..., 0] - xp.asarray(quote.touch_tick)[..., None]))
        before = xp.cumsum(size, axis=-1) - size
        taken = xp.clip(wanted - before, 0.0, size)
        left = wanted[..., 0] - xp.sum(taken, axis=-1)
        deepest = xp.max(xp.where(size > 0, away, 0.0), axis=-1)
        total = xp.sum(taken * away, axis=-1) + left * (deepest + self.beyond_tick)
        return total / xp.maximum(wanted[..., 0], 1.0)


SLIPPAGES: dict[str, Callable[..., Any]] = {
    "fixed_ticks": FixedTicks,
    "spread_share": SpreadShare,
    "volume_share": VolumeShare,
    "walk_the_book": WalkTheBook,
}


def make_slippage(name: str, **fields: float) -> Any:
    """Return the slippage model `name`; ValueError names the valid ones, or the field that is no finite number >= 0."""
    return make_model("slippage", SLIPPAGES, name, fields)


def make_model(what: str, models: dict[str, Callable[..., Any]], name: str, fields: dict[str, float]) -> Any:
    """Return a checked model of a table of NamedTuples, for every kind of cost model."""
    if name not in models:
        raise ValueError(f"{what} model {name!r} is not one of {sorted(models)}")
    try:
        model = models[name](**fields)
    except TypeError as error:
        raise ValueError(f"{what} model {name!r}: {error}") from None
    for field, value in model._asdict().items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and value >= 0):
            raise ValueError(f"{field} {value!r} of the {what} model {name!r} is not a finite number of at least 0")
    return model


def _float(xp: Any, value: Any) -> Any:
    # float32 in JAX (its default), float64 in NumPy.
    return xp.asarray(value) * 1.0
