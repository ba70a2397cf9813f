"""Does an impact model pay whoever trades in circles? Round trips with a negative expected cost are dynamic arbitrage.

An agent trained in such a market learns to manipulate it, so a model is checked before it is used.
Conditions for a decay kernel G and an impact v^delta of the trading rate v (Gatheral, "No-dynamic-arbitrage and market
impact", Quant. Finance 10(7), 2010): exponential decay allows only delta = 1; power-law decay t^-gamma needs
gamma + delta >= 1. Where delta = 1 any convex decreasing kernel is safe (it is positive definite), and linear permanent
impact is safe (Huberman, Stanzl, "Price manipulation and quasi-arbitrage", Econometrica 72(4), 2004).
`square_root` of impact.py displaces by an odd increasing function of a net position that only decays, so a round trip
costs the integral of rho I(Q) Q >= 0 and what is left at the end: safe.
A power law that is finite at zero, (1 + t / tau)^-gamma with delta != 1, is safe only for trading slower than tau:
within tau it is flat, and a flat kernel allows only delta = 1.
"""

from typing import Any

import numpy as np

from market_models.impact import ExponentialPropagator, PowerLawPropagator, run_impact


def arbitrage_reasons(model: Any) -> list[str]:
    """Return why `model` (of `impact.make_impact`) allows dynamic arbitrage; empty where the theory finds none."""
    if isinstance(model, ExponentialPropagator) and model.exponent != 1:
        return [f"exponential decay allows only exponent 1, not {model.exponent}"]
    if isinstance(model, PowerLawPropagator) and model.decay + model.exponent < 1:
        return [f"decay {model.decay} + exponent {model.exponent} is below 1"]
    return []


def require_no_arbitrage(model: Any) -> None:
    """Raise ValueError with the reasons if `model` allows dynamic arbitrage."""
    reasons = arbitrage_reasons(model)
    if reasons:
        raise ValueError(f"{type(model).__name__} allows dynamic arbitrage: {'; '.join(reasons)}")


def round_trip_cost(model: Any, signed_lots: Any, elapsed_s: Any) -> np.ndarray:
    """Return the cost [...], tick-lots, of trades [..., K] that sum to zero; negative is arbitrage."""
    lots = np.asarray(signed_lots, np.float64)
    if np.abs(lots.sum(axis=-1)).max(initial=0) > 1e-9 * max(np.abs(lots).max(initial=0), 1):
        raise ValueError("signed_lots do not sum to zero: this is no round trip")
    paid, _ = run_impact(model, lots, elapsed_s)
    return (lots * paid).sum(axis=-1)


def two_phase_cost(exponent: float, share: Any, *, decay: float | None = None, rate: float | None = None) -> Any:
    """Return the exact cost of buying one lot steadily over `share` of a unit of time and selling it in the rest.

    Continuous time, impact v^`exponent`, kernel t^-`decay` (0 < decay < 1) or exp(-`rate` t), unit scale:
        cost = sum over phases i, j of rate_i f(rate_j) int int G(t - s) ds dt
    """
    if (decay is None) == (rate is None):
        raise ValueError("give either decay (power law) or rate (exponential)")
    share = np.asarray(share, np.float64)
    buy, sell = 1 / share, 1 / (1 - share)

    def twice(t: Any) -> Any:
        # The kernel integrated twice from 0, so that a phase of length t costs v f(v) twice(t) by itself.
        if decay is not None:
            return t ** (2 - decay) / ((1 - decay) * (2 - decay))
        return (np.expm1(-rate * t) + rate * t) / rate**2  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]

    alone = buy ** (1 + exponent) * twice(share) + sell ** (1 + exponent) * twice(1 - share)
    cross = sell * buy**exponent * (twice(1.0) - twice(share) - twice(1 - share))
    return alone - cross
