"""Readers of recorded market data."""

from market_models.datasets.errors import DataError
from market_models.datasets.locate import find_data, licence_tier

__all__ = ["DataError", "find_data", "licence_tier"]
