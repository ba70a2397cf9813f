"""Which of two queues empties first: Cont, Stoikov, Talreja 2010, section 4, twice, by different roads.

Each queue is a birth-death process: +1 at rate lam, -1 at rate mu + theta x n. With the spread at one tick the next
move of the mid is up if the ask queue empties first.
"""

import numpy as np


def by_linear_system(lam: float, mu: float, theta: float, largest: int = 24) -> np.ndarray:
    """Return P[a, b] that the ask queue (a orders) empties before the bid queue (b), for 0..largest, by elimination.

    Births are stopped at `largest`, where the death rate makes them of no weight.
    """
    down = mu + theta * np.arange(largest + 1)
    up = np.full(largest + 1, lam)
    up[-1] = 0.0
    size = largest
    matrix, right = np.zeros((size * size, size * size)), np.zeros(size * size)
    for a in range(1, largest + 1):
        for b in range(1, largest + 1):
            row = (a - 1) * size + b - 1
            matrix[row, row] = up[a] + up[b] + down[a] + down[b]
            for step, rate in (((a - 1, b), down[a]), ((a + 1, b), up[a]), ((a, b - 1), down[b]), ((a, b + 1), up[b])):
                if rate == 0.0 or step[1] == 0:
                    continue
                if step[0] == 0:
                    right[row] += rate
                else:
                    matrix[row, (step[0] - 1) * size + step[1] - 1] -= rate
    return np.linalg.solve(matrix, right).reshape(size, size)


def _transform(s: np.ndarray, n: int, lam: float, mu: float, theta: float, terms: int = 400) -> np.ndarray:
    """Return E exp(-s T) of the time T that a queue of n takes to empty: a product of n continued fractions."""
    out = np.ones_like(s)
    for i in range(1, n + 1):
        fraction = np.zeros_like(s)
        for k in range(i + terms, i - 1, -1):
            death = mu + k * theta
            fraction = -lam * death / (lam + death + s + fraction)
        out = out * (-fraction / lam)
    return out


def by_laplace_inversion(a: int, b: int, lam: float, mu: float, theta: float) -> float:
    """Return the same probability from the characteristic function of the difference of the two times."""
    u = (np.arange(20_000) + 0.5) * 0.02
    difference = _transform(-1j * u, a, lam, mu, theta) * _transform(1j * u, b, lam, mu, theta)
    return float(0.5 - np.sum(difference.imag / u) * 0.02 / np.pi)
