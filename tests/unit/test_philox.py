"""Philox gives the published known answers, and the same words in numba and NumPy.

Source of the vectors: the `kat_vectors` of Random123 1.14 (philox4x32, 7 and 10 rounds).
"""

import numpy as np
import pytest

from kernels.lob.philox import philox4x32, philox4x32_numpy

ONES = 0xFFFFFFFF
KNOWN = [
    (7, (0, 0), (0, 0, 0, 0), (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
    (7, (ONES, ONES), (ONES,) * 4, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
    (
        7,
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A),
    ),
    (10, (0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (10, (ONES, ONES), (ONES,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        10,
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("rounds", "key", "counter", "words"), KNOWN)
def test_it_gives_the_known_answers(rounds, key, counter, words):
    assert philox4x32_numpy(key, counter, rounds).tolist() == list(words)


def test_a_markets_words_are_those_of_seven_rounds():
    assert tuple(map(int, philox4x32(0, 0, 0, 0))) == KNOWN[0][3]
    assert tuple(philox4x32_numpy((0, 0), (0, 0, 0, 0)).tolist()) == KNOWN[0][3]


def test_numba_gives_the_words_of_numpy_for_the_counters_of_a_market():
    rng = np.random.default_rng(0)
    for _ in range(50):
        key = rng.integers(0, 2**32, 2, dtype=np.uint32)
        draw, block = rng.integers(-(2**31), 2**31), rng.integers(0, 4)  # META_DRAW is a signed word
        words = philox4x32(key[0], key[1], np.int32(draw), block)
        assert list(map(int, words)) == philox4x32_numpy(key, [draw % 2**32, block, 0, 0]).tolist()


def test_numpy_broadcasts_keys_against_counters():
    words = philox4x32_numpy(np.zeros((3, 1, 2)), np.zeros((5, 4)))
    assert words.shape == (3, 5, 4) and words.dtype == np.uint32
    with pytest.raises(ValueError, match="expected"):
        philox4x32_numpy([0, 0, 0], [0, 0, 0, 0])
