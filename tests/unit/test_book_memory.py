"""A book's memory is what the specification allows: 20 bytes an order slot and side, and 256 bytes."""

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.spec import LobConfig


@pytest.mark.parametrize("capacity", spec.CAPACITIES)
def test_a_book_takes_at_most_twenty_bytes_a_slot_and_side_and_256(capacity):
    book = spec.empty_book(LobConfig(capacity=capacity), (3,))
    whole = sum(np.asarray(field).nbytes for field in book) / 3
    assert whole == spec.book_bytes(capacity) == 2 * 16 * capacity + 40
    assert whole <= 2 * 20 * capacity + 256
