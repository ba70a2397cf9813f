"""Market impact: how our own trades move the price, composed with any price process.

Signed lots (positive bought) trade at the end of `elapsed_s` since the step before (linear: spread over it).
`paid_tick` is the mean displacement at which they trade, so they cost signed lots x paid_tick; `mid_tick` is the
displacement after them.
| model | displacement | source |
|---|---|---|
| linear | permanent gamma n; paid: + epsilon sign(n) + eta n / elapsed | Almgren, Chriss 2000 |
| square_root | Y sigma sign(Q) (abs(Q) / V)^delta, Q our recent signed lots, forgotten at rate rho | Toth et al. 2011 |
| transient | lambda n for ever, (1/q - lambda) n decaying at rate rho | Obizhaeva, Wang 2013 |
| exponential | G(t) sign(n) abs(n)^delta, G = g exp(-rho t) | Gatheral 2010 |
| power_law | the same, G = g (1 + t / tau)^-gamma | Bouchaud, Gefen, Potters, Wyart 2004 |

Units: ticks, lots, seconds (sigma and V of square_root: both of one day or both of one hour, as the caller likes).
Assumptions: impact is deterministic in our own flow; others' flow is in the price process. Linear exaggerates large
orders and spares small ones, as the concave models are what is observed; a fitted exponential forgets too fast.
A model is a NamedTuple (a pytree: its numbers may be traced); `xp` is numpy or jax.numpy; any leading batch axes.
Dynamic arbitrage: `market_models/arbitrage.py`. Fits: `market_models/impact_fit.py`.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from market_models.slippage import make_model

# The power law as a mixture of exponentials, rates exp(x) / tau: (1 + s)^-gamma = int e^(gamma x - e^x) e^(-s e^x) dx /
# Gamma(gamma), by the trapezoid rule. For gamma in 0.2..2 and t below 10^6 tau it is exact to 1 % of the value.
_LOG_RATE_STEP: Final = 0.6
_LOG_RATES: Final = np.arange(-24.0, 3.1, _LOG_RATE_STEP)


class ImpactState(NamedTuple):
    """What a model remembers."""

    permanent_tick: Any  # float[...] displacement that stays
    memory: Any  # float[..., M] what decays


class ImpactStep(NamedTuple):
    """The effect of one trade."""

    state: ImpactState
    paid_tick: Any  # float[...] mean displacement of the traded lots, signed
    mid_tick: Any  # float[...] displacement of the mid afterwards, signed


class LinearImpact(NamedTuple):
    """Linear temporary and permanent impact."""

    permanent: Any = 0.0  # gamma, ticks a lot
    temporary: Any = 0.0  # eta, ticks x seconds a lot
    fixed_tick: Any = 0.0  # epsilon

    def init(self, xp: Any, batch: tuple[int, ...] = ()) -> ImpactState:
        """Return the state before the first trade."""
        return ImpactState(xp.zeros(batch), xp.zeros((*batch, 0)))

    def step(self, xp: Any, state: ImpactState, signed_lots: Any, elapsed_s: Any) -> ImpactStep:
        """Trade `signed_lots` [...] evenly over `elapsed_s` [...], above 0."""
        lots = xp.asarray(signed_lots) * 1.0
        paid = state.permanent_tick + self.fixed_tick * xp.sign(lots) + self.temporary * lots / elapsed_s
        mid = state.permanent_tick + self.permanent * lots
        return ImpactStep(ImpactState(mid, state.memory), paid, mid)


class SquareRootImpact(NamedTuple):
    """The square-root law of a parent order, with a memory that ends it."""

    prefactor: Any = 1.0  # Y
    volatility_tick: Any = 0.0  # sigma, of the period of `volume_lots`
    volume_lots: Any = 1.0  # V, traded in that period
    exponent: Any = 0.5  # delta
    forgetting: Any = 0.0  # rho, 1 / s: how fast Q is forgotten; 0 is one parent order for ever

    def init(self, xp: Any, batch: tuple[int, ...] = ()) -> ImpactState:
        """Return the state before the first trade."""
        return ImpactState(xp.zeros(batch), xp.zeros((*batch, 1)))

    def impact_tick(self, xp: Any, signed_lots: Any) -> Any:
        """Return the displacement of a parent order of `signed_lots` [...]."""
        lots = xp.asarray(signed_lots) * 1.0
        share = xp.abs(lots) / self.volume_lots
        return self.prefactor * self.volatility_tick * xp.sign(lots) * share**self.exponent

    def step(self, xp: Any, state: ImpactState, signed_lots: Any, elapsed_s: Any) -> ImpactStep:
        """Trade `signed_lots` [...] after `elapsed_s` [...]; the price paid is the law's mean between both sizes."""
        lots = xp.asarray(signed_lots) * 1.0
        before = state.memory[..., 0] * xp.exp(-self.forgetting * xp.asarray(elapsed_s))
        after = before + lots
        area = self._area(xp, after) - self._area(xp, before)
        paid = xp.where(lots == 0, self.impact_tick(xp, before), area / xp.where(lots == 0, 1.0, lots))
        return ImpactStep(ImpactState(state.permanent_tick, after[..., None]), paid, self.impact_tick(xp, after))

    def _area(self, xp: Any, lots: Any) -> Any:
        return self.impact_tick(xp, xp.abs(lots)) * xp.abs(lots) / (1 + self.exponent)


class TransientImpact(NamedTuple):
    """A block-shaped book that refills exponentially."""

    depth: Any = 1.0  # q, lots a tick
    permanent: Any = 0.0  # lambda, ticks a lot, at most 1 / q
    resilience: Any = 0.0  # rho, 1 / s

    def kernel(self, xp: Any, elapsed_s: Any) -> Any:
        """Return what a lot's displacement is [...] after `elapsed_s`."""
        decayed = xp.exp(-self.resilience * xp.asarray(elapsed_s))
        return self.permanent + (1 / self.depth - self.permanent) * decayed

    def init(self, xp: Any, batch: tuple[int, ...] = ()) -> ImpactState:
        """Return the state before the first trade."""
        return ImpactState(xp.zeros(batch), xp.zeros((*batch, 1)))

    def step(self, xp: Any, state: ImpactState, signed_lots: Any, elapsed_s: Any) -> ImpactStep:
        """Trade `signed_lots` [...] at once after `elapsed_s` [...]."""
        lots = xp.asarray(signed_lots) * 1.0
        moved = state.memory[..., 0] * xp.exp(-self.resilience * xp.asarray(elapsed_s))
        paid = state.permanent_tick + moved + lots / (2 * self.depth)
        permanent = state.permanent_tick + self.permanent * lots
        moved = moved + (1 / self.depth - self.permanent) * lots
        return ImpactStep(ImpactState(permanent, moved[..., None]), paid, permanent + moved)


class ExponentialPropagator(NamedTuple):
    """A propagator with one time scale."""

    scale: Any = 1.0  # g, ticks a lot^delta
    rate: Any = 0.0  # rho, 1 / s
    exponent: Any = 1.0  # delta

    def mixture(self, xp: Any) -> tuple[Any, Any]:
        """Return (weights, rates), float[M] each, of the kernel as a sum of exponentials."""
        return xp.ones(1) * self.scale, xp.ones(1) * self.rate

    def kernel(self, xp: Any, elapsed_s: Any) -> Any:
        """Return G(t) [...]."""
        return self.scale * xp.exp(-self.rate * xp.asarray(elapsed_s))

    def init(self, xp: Any, batch: tuple[int, ...] = ()) -> ImpactState:
        """Return the state before the first trade."""
        return ImpactState(xp.zeros(batch), xp.zeros((*batch, 1)))

    def step(self, xp: Any, state: ImpactState, signed_lots: Any, elapsed_s: Any) -> ImpactStep:
        """Trade `signed_lots` [...] at once after `elapsed_s` [...]."""
        return _propagate(xp, self, state, signed_lots, elapsed_s)


class PowerLawPropagator(NamedTuple):
    """A propagator that forgets like a power of time."""

    scale: Any = 1.0  # g, ticks a lot^delta
    offset_s: Any = 1.0  # tau
    decay: Any = 0.5  # gamma, 0.2..2
    exponent: Any = 0.5  # delta

    def mixture(self, xp: Any) -> tuple[Any, Any]:
        """Return (weights, rates), float[M] each, of the kernel as a sum of exponentials."""
        logs = xp.asarray(_LOG_RATES)
        weights = xp.exp(self.decay * logs - xp.exp(logs))
        # The cut tail of slow rates is a geometric series: its sum goes to the slowest one.
        tail = weights[0] / xp.expm1(self.decay * _LOG_RATE_STEP)
        weights = xp.concatenate([(weights[0] + tail)[None], weights[1:]])
        return self.scale * weights / xp.sum(weights), xp.exp(logs) / self.offset_s

    def kernel(self, xp: Any, elapsed_s: Any) -> Any:
        """Return G(t) [...], exact."""
        return self.scale * (1 + xp.asarray(elapsed_s) / self.offset_s) ** -self.decay

    def init(self, xp: Any, batch: tuple[int, ...] = ()) -> ImpactState:
        """Return the state before the first trade."""
        return ImpactState(xp.zeros(batch), xp.zeros((*batch, len(_LOG_RATES))))

    def step(self, xp: Any, state: ImpactState, signed_lots: Any, elapsed_s: Any) -> ImpactStep:
        """Trade `signed_lots` [...] at once after `elapsed_s` [...]."""
        return _propagate(xp, self, state, signed_lots, elapsed_s)


def _propagate(xp: Any, model: Any, state: ImpactState, signed_lots: Any, elapsed_s: Any) -> ImpactStep:
    weights, rates = model.mixture(xp)
    lots = xp.asarray(signed_lots) * 1.0
    force = xp.sign(lots) * xp.abs(lots) ** model.exponent
    kept = state.memory * xp.exp(-rates * xp.asarray(elapsed_s)[..., None])
    memory = kept + weights * force[..., None]
    # Over the trade itself the force grows as v^delta, whose mean is 1 / (1 + delta) of its end.
    paid = xp.sum(kept, axis=-1) + xp.sum(weights) * force / (1 + model.exponent)
    return ImpactStep(ImpactState(state.permanent_tick, memory), paid, xp.sum(memory, axis=-1))


IMPACTS: dict[str, Callable[..., Any]] = {
    "linear": LinearImpact,
    "square_root": SquareRootImpact,
    "transient": TransientImpact,
    "exponential": ExponentialPropagator,
    "power_law": PowerLawPropagator,
}


def make_impact(name: str, **fields: float) -> Any:
    """Return the impact model `name`; ValueError names the valid ones, or the field that is wrong."""
    model = make_model("impact", IMPACTS, name, fields)
    for field in ("depth", "volume_lots", "offset_s"):
        if getattr(model, field, 1) <= 0:
            raise ValueError(f"{field} {getattr(model, field)} of the impact model {name!r} is not above 0")
    if isinstance(model, TransientImpact) and model.permanent > 1 / model.depth:
        raise ValueError(f"permanent {model.permanent} of the impact model {name!r} is above 1 / depth")
    if isinstance(model, PowerLawPropagator) and not 0.2 <= model.decay <= 2:
        raise ValueError(f"decay {model.decay} of the impact model {name!r} is outside 0.2..2")
    return model


def run_impact(model: Any, signed_lots: Any, elapsed_s: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return (paid_tick, mid_tick), float64[..., K], of trades [..., K] along the last axis; NumPy."""
    lots = np.asarray(signed_lots, np.float64)
    elapsed = np.broadcast_to(np.asarray(elapsed_s, np.float64), lots.shape)
    state, paid, mid = model.init(np, lots.shape[:-1]), np.empty(lots.shape), np.empty(lots.shape)
    for k in range(lots.shape[-1]):
        state, paid[..., k], mid[..., k] = model.step(np, state, lots[..., k], elapsed[..., k])
    return paid, mid
