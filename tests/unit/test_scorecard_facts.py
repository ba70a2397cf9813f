"""Stylised facts and the classifier against statsmodels, scikit-learn and processes whose figures are known."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.tsa.stattools import acf

from kernels.lob.spec import BUY, SELL
from market_models.datasets.recording import FULL_CANCEL, NEW, VISIBLE_EXECUTION
from market_models.scorecard import classifier, facts
from market_models.scorecard.score import score
from market_models.scorecard.tape import Stretch, Tape, cut
from tests.support.tapes import random_tape, stretch


def fractional_noise(n: int, hurst: float, rng: np.random.Generator) -> np.ndarray:
    """Return fractional Gaussian noise by circulant embedding (Davies, Harte 1987)."""
    k = np.arange(n + 1.0)
    cov = (np.abs(k + 1) ** (2 * hurst) - 2 * k ** (2 * hurst) + np.abs(k - 1) ** (2 * hurst)) / 2
    power = np.fft.fft(np.concatenate([cov, cov[-2:0:-1]])).real.clip(0)
    noise = rng.normal(size=len(power)) + 1j * rng.normal(size=len(power))
    return np.fft.fft(np.sqrt(power / len(power)) * noise).real[:n]


def trade_tape(sign: np.ndarray, step_s: float = 1.0) -> Tape:
    """Return a tape of nothing but trades of given signs, in a still book."""
    n = len(sign)
    at_ns = (np.arange(n) * step_s * 1e9).astype(np.int64)
    book = np.broadcast_to(np.array([[[100, 5]], [[102, 5]]]), (n, 2, 1, 2))
    side = np.where(sign > 0, SELL, BUY)
    ones = np.ones(n, np.int64)
    s = Stretch(at_ns / 1e9, at_ns, ones * VISIBLE_EXECUTION, side, ones, ones * 100, ones, book)
    return Tape("trades", (s,), n * step_s, 0)


def fact(tape: Tape, name: str) -> facts.Fact:
    return next(f for f in facts.stylised_facts(tape) if f.name == name)


def test_autocorrelation_is_that_of_statsmodels() -> None:
    x = np.random.default_rng(0).normal(size=4000).cumsum()[::40]
    ours = facts.autocorrelation([x], 5) * (len(x) - np.arange(1, 6)) / len(x)  # theirs divides by n at every lag
    assert ours == pytest.approx(acf(x, nlags=5, fft=False)[1:], rel=1e-9)


def test_signs_of_known_long_memory_give_their_exponent_back_and_independent_ones_none() -> None:
    rng = np.random.default_rng(1)
    memory = fact(trade_tape(np.sign(fractional_noise(60_000, 0.75, rng))), "sign_memory_exponent")
    assert memory.value == pytest.approx(0.5, abs=0.08)  # gamma = 2 - 2 H
    assert memory.ci_low is not None and memory.ci_high is not None and memory.ci_low < 0.5 < memory.ci_high
    coin = fact(trade_tape(rng.choice([-1.0, 1.0], 20_000)), "sign_memory_exponent")
    assert coin.value is None and coin.reason.startswith("no memory")


def test_executions_of_one_moment_and_side_are_one_trade() -> None:
    rows = [(0, 1, BUY, 1, 100, 1)]
    rows += [(at, VISIBLE_EXECUTION, side, 5, 100, 1) for at, side in ((9, BUY), (9, BUY), (9, SELL), (11, SELL))]
    trades = facts.find_trades(stretch(rows, [([(100, 5)], [(102, 5)])] * 5))
    assert trades.sign.tolist() == [-1, 1, 1] and trades.lots.tolist() == [10, 5, 5]


def test_heavy_tails_show_as_kurtosis_and_a_random_walk_has_no_autocorrelation() -> None:
    calm = {f.name: f for f in facts.stylised_facts(random_tape("calm", 2, rows=60_000, wait_s=0.2))}
    # 50 steps of -1, 0, 1 with variance 0.3 a return: excess kurtosis (1/0.3 - 3) / 50 is nearly 0.
    assert calm["excess_kurtosis"].value == pytest.approx(0, abs=0.4)
    assert calm["return_acf_lag_1"].value == pytest.approx(0, abs=0.1)
    assert calm["meta_order_impact"].value is None and "not identifiable" in calm["meta_order_impact"].reason


def test_a_fact_that_has_too_little_says_what_it_needs() -> None:
    short = {f.name: f for f in facts.stylised_facts(random_tape("short", 2, rows=300))}
    assert short["excess_kurtosis"].value is None and "needed are 100" in short["excess_kurtosis"].reason
    assert short["sign_memory_exponent"].value is None and "needed are 1000" in short["sign_memory_exponent"].reason


@pytest.mark.parametrize("missing", [(VISIBLE_EXECUTION,), (NEW,), (FULL_CANCEL,), (NEW, FULL_CANCEL)])
def test_a_market_without_one_kind_of_message_has_facts_rows_and_a_verdict(missing: tuple[int, ...]) -> None:
    own = random_tape("own", 1)
    s = own.stretches[0]
    bare = Tape("bare", (cut(s, ~np.isin(s.kind, missing)),), own.duration_s, 0)
    found = {f.name: f for f in facts.stylised_facts(bare)}
    assert (found["sign_acf_lag_1"].value is None) and "trades, needed are 1000" in found["sign_acf_lag_1"].reason
    rows = score(own, [bare], resamples=5)[0].rows
    assert all(row.reason for row in rows if row.l1 is None or row.w1 is None)
    assert classifier.tell_apart(own, bare).windows_recorded == 59


def test_a_market_whose_book_has_one_side_only_is_listed_row_by_row_with_reasons() -> None:
    own = random_tape("own", 1)
    s = own.stretches[0]
    book = s.book.copy()
    book[:, SELL] = 0
    rows = score(own, [Tape("bids only", (replace(s, book=book),), own.duration_s, 0)], resamples=5)[0].rows
    spread = next(row for row in rows if row.name == "spread_tick")
    assert (spread.l1, spread.w1, spread.n) == (1.0, None, 0) and "0 values" in spread.reason


def test_the_weighted_auc_is_that_of_scikit_learn_ties_included() -> None:
    rng = np.random.default_rng(3)
    y, value, weight = rng.integers(0, 2, 300), rng.integers(0, 20, 300) / 4, rng.integers(0, 4, 300).astype(float)
    assert classifier.weighted_auc(value, y, weight) == pytest.approx(roc_auc_score(y, value, sample_weight=weight))


def test_the_classifier_cannot_tell_two_draws_of_one_law_but_tells_another_law() -> None:
    own, twin = random_tape("own", 1, rows=8000), random_tape("twin", 2, rows=8000)
    same = classifier.tell_apart(own, twin)
    assert same.auc == pytest.approx(0.5, abs=0.12) and not same.tells_apart and same.windows == 79
    other = classifier.tell_apart(own, random_tape("fast", 3, rows=8000, wait_s=0.05))
    assert other.auc is not None and other.auc > 0.99 and other.tells_apart and "wait_mean" in other.strongest


def test_a_drift_in_time_does_not_leak_through_neighbouring_windows() -> None:
    """Folds are stretches of time in both markets: a clue that only names the hour is worth nothing."""
    rng = np.random.default_rng(4)
    fold = np.repeat(np.arange(5), 40)
    x = np.concatenate([fold + rng.normal(0, 0.01, 200)] * 2)[:, None]
    y, folds = np.repeat([0, 1], 200), np.concatenate([fold, fold])
    chance = classifier.out_of_fold(x, y, folds, 0)
    assert classifier.weighted_auc(chance, y, np.ones(400)) == pytest.approx(0.5, abs=0.1)


def test_too_few_windows_are_not_judged() -> None:
    verdict = classifier.tell_apart(random_tape("a", 1, rows=900), random_tape("b", 2, rows=900))
    assert verdict.auc is None and "needed are 40" in verdict.reason and not verdict.tells_apart
