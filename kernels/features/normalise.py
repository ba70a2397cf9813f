"""From integer columns to the policy's float32 inputs. The normaliser is part of an artifact."""

from types import ModuleType
from typing import Final, NamedTuple

import numpy as np

from kernels.features.market import Array
from kernels.features.table import FEATURES, LINEAR, LOG, NUM_FEATURES

DEFAULT_CLIP: Final = 5.0
MIN_SCALE_SD: Final = 1e-3  # a column that never moves keeps a finite scale


class Normaliser(NamedTuple):
    """One transform a column: z = clip((f(x) - shift) * scale, -clip, clip), f the identity or sign(x) log(1 + |x|)."""

    kind: Array  # int32[D] LINEAR or LOG
    shift: Array  # float32[D]
    scale: Array  # float32[D]
    clip: Array  # float32[D] above 0


def default_normaliser() -> Normaliser:
    """Return the normaliser of the table's typical sizes: no data needed, no shift."""
    typical = np.array([feature.typical for feature in FEATURES], np.float32)
    return Normaliser(
        kind=np.array([feature.kind for feature in FEATURES], np.int32),
        shift=np.zeros(NUM_FEATURES, np.float32),
        scale=(1.0 / typical).astype(np.float32),
        clip=np.full(NUM_FEATURES, DEFAULT_CLIP, np.float32),
    )


def fit_normaliser(columns: np.ndarray) -> Normaliser:
    """Return the normaliser with mean 0 and standard deviation 1 on `columns` int32[N, D], N at least 2.

    A constant column keeps the default scale. Raises ValueError for another shape.
    """
    if columns.ndim != 2 or columns.shape[0] < 2 or columns.shape[1] != NUM_FEATURES:
        raise ValueError(f"columns have shape {columns.shape}, expected (N >= 2, {NUM_FEATURES})")
    default = default_normaliser()
    values = transform(np, columns, default.kind).astype(np.float64)
    sd = values.std(axis=0)
    scale = np.where(sd > MIN_SCALE_SD, 1.0 / np.maximum(sd, MIN_SCALE_SD), default.scale)
    shift = values.mean(axis=0)
    return default._replace(shift=shift.astype(np.float32), scale=scale.astype(np.float32))


def check_normaliser(normaliser: Normaliser) -> Normaliser:
    """Return `normaliser`, or raise ValueError naming the field that is wrong."""
    for name, value in normaliser._asdict().items():
        array = np.asarray(value)
        if array.shape != (NUM_FEATURES,):
            raise ValueError(f"normaliser.{name} has shape {array.shape}, expected ({NUM_FEATURES},)")
        if not np.isfinite(array).all():
            raise ValueError(f"normaliser.{name} has a value that is not finite")
    if not np.isin(np.asarray(normaliser.kind), (LINEAR, LOG)).all():
        raise ValueError(f"normaliser.kind has a value other than {LINEAR} (linear) and {LOG} (log)")
    if not (np.asarray(normaliser.clip) > 0).all():
        raise ValueError("normaliser.clip has a value that is not above 0")
    return normaliser


def transform(xp: ModuleType, columns: Array, kind: Array) -> Array:
    """Return f(x) float32[..., D] of int32 columns."""
    values = columns.astype(xp.float32)
    log = xp.sign(values) * xp.log1p(xp.abs(values))
    return xp.where(kind == LOG, log, values)


def normalise(xp: ModuleType, columns: Array, normaliser: Normaliser) -> Array:
    """Return the policy's inputs float32[..., D]; numpy and jax.numpy agree to 1e-6 (the logarithm's last bit)."""
    centred = (transform(xp, columns, normaliser.kind) - normaliser.shift) * normaliser.scale
    return xp.clip(centred, -normaliser.clip, normaliser.clip).astype(xp.float32)
