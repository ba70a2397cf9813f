"""How far a fit is from what made its prices, in standard errors."""

from typing import Any

import numpy as np


def z_scores(found: Any, errors: Any, truth: Any) -> np.ndarray:
    """Return (found - truth) / error of every estimated value [P]; where the error is 0 the two must be equal."""
    scores = []
    for field in truth._fields:
        value, error, true = (np.asarray(getattr(one, field), np.float64).ravel() for one in (found, errors, truth))
        np.testing.assert_allclose(value[error == 0], true[error == 0], rtol=1e-9, atol=1e-12, err_msg=field)
        scores.append((value - true)[error > 0] / error[error > 0])
    return np.concatenate(scores)
