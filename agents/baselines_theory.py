"""Closed forms of market making: Avellaneda-Stoikov and Gueant-Lehalle-Fernandez-Tapia.

Prices and distances share one unit, inventory counts trades of one size, time has the unit of `sigma` and of the fill
intensity A exp(-k distance). Every function works on NumPy and jax.numpy arrays that broadcast, `glft_exact` on NumPy.
"""

from types import ModuleType
from typing import Any

import numpy as np

Number = Any  # float, numpy or jax array


def avellaneda_stoikov(
    xp: ModuleType, mid: Number, inventory: Number, variance: Number, time_left: Number, gamma: Number, k: Number
) -> tuple[Number, Number]:
    """Return (bid, ask) around the reservation price; `variance` is sigma^2 per unit of time, gamma and k above 0.

    r = s - q gamma sigma^2 (T - t);  ask - bid = gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / k).
    Source: Avellaneda, Stoikov (2008), High-frequency trading in a limit order book, equations for r and the spread.
    """
    risk = gamma * variance * time_left
    half_spread = 0.5 * risk + xp.log1p(gamma / k) / gamma
    reservation = mid - inventory * risk
    return reservation - half_spread, reservation + half_spread


def glft_approximation(
    xp: ModuleType, inventory: Number, variance: Number, gamma: Number, k: Number, intensity: Number
) -> tuple[Number, Number]:
    """Return the (bid, ask) distances from the mid far from the end of trading.

    (1 / gamma) ln(1 + gamma / k) + (1 +- 2 q) / 2 C, where
    C = sqrt(sigma^2 gamma / (2 k A) (1 + gamma / k)^(1 + k / gamma)).
    Source: Gueant, Lehalle, Fernandez-Tapia (2013), Dealing with the inventory risk, asymptotic approximation.
    """
    base, slope = glft_terms(xp, variance, gamma, k, intensity)
    return base + 0.5 * (1 + 2 * inventory) * slope, base + 0.5 * (1 - 2 * inventory) * slope


def glft_terms(xp: ModuleType, variance: Number, gamma: Number, k: Number, intensity: Number) -> tuple[Number, Number]:
    """Return ((1 / gamma) ln(1 + gamma / k), C) of `glft_approximation`."""
    growth = xp.log1p(gamma / k)
    # The power is taken as exp of the logarithm: (1 + gamma / k)^(1 + k / gamma) stays exact for a small gamma.
    slope = xp.sqrt(variance * gamma / (2 * k * intensity) * xp.exp((1 + k / gamma) * growth))
    return growth / gamma, slope


def glft_exact(
    inventory: int, variance: float, gamma: float, k: float, intensity: float, time_left: float, max_inventory: int
) -> tuple[float, float]:
    """Return the optimal (bid, ask) distances from the mid, infinite where the inventory bound forbids the side.

    With v(t) = exp(-(T - t) M) 1, M tridiagonal: alpha q^2 on the diagonal, -eta beside it, where
    alpha = k gamma sigma^2 / 2 and eta = A (1 + gamma / k)^-(1 + k / gamma);
    bid = (1 / k) ln(v_q / v_(q+1)) + (1 / gamma) ln(1 + gamma / k), ask with v_(q-1).
    Source: Gueant, Lehalle, Fernandez-Tapia (2013), theorem 1. Raises ValueError if |inventory| is too large.
    """
    from scipy.linalg import expm

    if abs(inventory) > max_inventory:
        raise ValueError(f"inventory {inventory} is outside +-{max_inventory}")
    grid = np.arange(-max_inventory, max_inventory + 1)
    growth = float(np.log1p(gamma / k))
    eta = intensity * float(np.exp(-(1 + k / gamma) * growth))
    beside = np.full(grid.size - 1, -eta)
    matrix = np.diag(0.5 * k * gamma * variance * grid**2) + np.diag(beside, 1) + np.diag(beside, -1)
    value = expm(-time_left * matrix) @ np.ones(grid.size)
    here = inventory + max_inventory
    base = growth / gamma
    bid = base + np.log(value[here] / value[here + 1]) / k if inventory < max_inventory else np.inf
    ask = base + np.log(value[here] / value[here - 1]) / k if inventory > -max_inventory else np.inf
    return float(bid), float(ask)
