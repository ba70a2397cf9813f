"""The Hawkes flow: its law on a book that stands still, where its orders go, its state and its packing."""

import numpy as np
import pytest
from scipy.linalg import solve
from scipy.stats import kstest

from kernels.lob import spec
from kernels.lob.step import Market, new_market, run_market_step
from market_models import hawkes as hk
from market_models import hawkes_numba as hn
from market_models.hawkes_events import Path
from market_models.hawkes_likelihood import residuals
from tests.support.hawkes import BIDS, DECAYS, SIZES, book_of, branching, draw, hand_rates, types_of

NOTHING = np.zeros((0, spec.NUM_MESSAGE_COLUMNS), np.int32)
WORDS = slice(hk.EXCITATION, hk.EXCITATION + hk.MAX_DECAYS * hk.NUM_TYPES)
NO_AGENTS = np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)


@pytest.fixture(scope="module")
def path():
    """(time, type, size) of the events of a long run on the book of four ticks and 10 lots behind each touch."""
    status, dt_us, messages = draw(hand_rates(), 500_000)
    event, time_s = types_of(status, messages), np.cumsum(dt_us) * 1e-6
    return time_s, event, messages[:, spec.LOTS]


def judged_residuals(path, offspring):
    """Return type and time-rescaled gap, from the model's parameters of the book's cell in floats."""
    time_s, event, lots = path
    kept = (event >= 0) & (event < hk.NUM_TYPES)
    time_s, event, lots = time_s[kept], event[kept], lots[kept]
    mean = np.sqrt(SIZES).mean()
    mark = np.where(np.isin(event % 5, (0, 1, 4)), np.sqrt(np.maximum(lots, 1)) / mean, 1.0)
    rows = len(event)
    cell, possible = np.ones((rows, 2), np.int64), np.ones((rows, 10), bool)
    events = Path(np.append(time_s, time_s[-1]), event, lots.astype(np.int64), event, event, cell, possible)
    base = hand_rates().base_rate.reshape(4, 5).T.copy()
    jump = (offspring * DECAYS[:, None, None, None]).transpose(3, 0, 1, 2).reshape(5, 20)
    return residuals(events, mark, DECAYS, base, jump)


def test_mean_rates_are_base_rates_times_the_inverse_of_one_minus_branching(path):
    time_s, event, _ = path
    total = branching().sum((0, 1))
    expected = solve(np.eye(5) - total.T, hand_rates().base_rate[0, 1])
    blocks = np.searchsorted(time_s, np.linspace(0, time_s[-1], 101)[1:-1])
    length = time_s[-1] / 100
    for kind in range(hk.NUM_KINDS):
        mine = np.array([(part % 5 == kind)[(part >= 0) & (part < 10)].sum() for part in np.split(event, blocks)])
        rate = mine / (2 * length)
        assert abs(rate.mean() - expected[kind]) < 4 * rate.std() / 10, (kind, rate.mean(), expected[kind])
        # The judge can fail: a flow without excitation would have the base rate.
        assert rate.mean() - hand_rates().base_rate[0, 1, kind] > 10 * rate.std() / 10
    far = (event == hk.NUM_TYPES).sum()
    assert abs(far - 0.4 * time_s[-1]) < 4.5 * far**0.5


def test_time_rescaled_gaps_of_every_type_are_exponential(path):
    event, integral = judged_residuals(path, branching())
    for kind in range(hk.NUM_TYPES):
        gaps = integral[event == kind]
        assert len(gaps) > 5000
        assert kstest(gaps, "expon")[1] > 1e-3, kind
    # The judge can fail: decays exchanged, or nothing excited, are refused.
    for wrong in (branching()[::-1], 0 * branching()):
        event, integral = judged_residuals(path, wrong)
        assert min(kstest(integral[event == kind], "expon")[1] for kind in range(hk.NUM_TYPES)) < 1e-5


def test_the_counts_of_a_second_cluster_as_branching_says(path):
    """Var / mean of counts over long intervals is that of Hawkes 1971: row sums of (I-n)^-T diag (I-n)^-1."""
    time_s, event, _ = path
    kept = time_s[(event >= 0) & (event < 10)]
    counts = np.histogram(kept, np.arange(0, kept[-1], 20.0))[0]
    same, other = branching().sum(0)
    n = np.block([[same, other], [other, same]])
    rate = solve(np.eye(10) - n.T, np.tile(hand_rates().base_rate[0, 1], 2))
    # A mark scales the offspring; its variance adds rate x (E m^2 - 1) of the offspring of the source's cascade.
    cascade = solve(np.eye(10) - n, np.ones(10))
    excess = (SIZES.mean() / np.sqrt(SIZES).mean() ** 2 - 1) * np.tile([1, 1, 0, 0, 1], 2)
    variance = (rate * (cascade**2 + excess * (cascade - 1) ** 2)).sum()
    np.testing.assert_allclose(counts.var() / counts.mean(), variance / rate.sum(), rtol=0.12)
    assert counts.var() / counts.mean() > 3


def test_orders_go_where_their_tables_say():
    rates = hand_rates()
    status, _, messages = draw(rates, 200_000, seed=5)
    event = types_of(status, messages)
    for side, touch, sign in ((0, 100, -1), (1, 104, 1)):
        away = sign * (messages[event == side * 5 + hk.BEHIND][:, spec.PRICE_TICK] - touch)
        share = np.bincount(away, minlength=5) / len(away)
        np.testing.assert_allclose(share, rates.behind_weight, atol=4.5 * (0.25 / len(away)) ** 0.5)
        better = -sign * (messages[event == side * 5 + hk.INSIDE][:, spec.PRICE_TICK] - touch)
        np.testing.assert_allclose(
            np.bincount(better, minlength=4) / len(better), [0, 43 / 128, 43 / 128, 42 / 128], atol=0.02
        )
    taken = messages[event == hk.CANCEL_BEHIND][:, spec.ORDER_ID]
    assert set(taken) == {2, 3} and abs((taken == 2).mean() - 0.5) < 4.5 * (0.25 / len(taken)) ** 0.5
    assert set(messages[event == hk.CANCEL_TOUCH][:, spec.ORDER_ID]) == {4, 5}
    lots = messages[np.isin(event, (4, 9))][:, spec.LOTS]
    np.testing.assert_allclose(np.bincount(lots)[1:] / len(lots), 0.25, atol=4.5 * (0.19 / len(lots)) ** 0.5)


def test_agents_orders_are_never_cancelled_and_move_no_touch():
    bids = [*BIDS, (102, 9, 50)]
    status, _, messages = draw(hand_rates(), 60_000, book_of(bids, agents=(50, 3)))
    happened = messages[status == spec.FLOW_EVENT]
    assert not set(happened[happened[:, 0] == spec.DELETE][:, spec.ORDER_ID]) & {50, 3}
    limits = happened[(happened[:, 0] == spec.LIMIT) & (happened[:, 1] == 0)][:, spec.PRICE_TICK]
    assert set(limits) == {96, 97, 99, 100, 101, 102, 103}
    asks = happened[(happened[:, 0] == spec.LIMIT) & (happened[:, 1] == 1)][:, spec.PRICE_TICK]
    assert asks.min() == 101


def test_what_is_impossible_is_null_and_excites_nobody():
    rates = hand_rates(far_cancel_rate=0.0)
    status, dt_us, messages = draw(rates, 50_000, book_of([], []), reference=500)
    happened = messages[status == spec.FLOW_EVENT]
    assert set(happened[:, 0]) == {spec.LIMIT}
    # The widest spread, no depth: touches 497 and 503.
    assert set(happened[happened[:, 1] == 0][:, spec.PRICE_TICK]) == {498, 499, 497, 496, 494, 493}
    total = branching().sum((0, 1))[:2, :2]
    expected = 2 * solve(np.eye(2) - total.T, rates.base_rate[1, 0, :2]).sum()
    np.testing.assert_allclose(len(happened) / (dt_us.sum() * 1e-6), expected, rtol=0.05)


@pytest.mark.parametrize("beta", [0.05, 1.0, 777.7, 1e5])
def test_the_decay_is_the_exponential_to_the_stated_error(beta):
    rates = hand_rates(decay_rate=np.array([beta]), jump_rate=np.zeros((1, 2, 5, 5)))
    word = hk.pack(rates)[hk.DECAYS]
    rng = np.random.default_rng(1)
    for dt_us in [0, 1, 2**31 - 1, *(rng.exponential(2e6 / beta, 500)).astype(np.int64)]:
        factor, shift = hn.decay_factor(word, np.int64(dt_us))
        exact = np.exp(-beta * dt_us * 1e-6)
        slack = 1.2e-6 + dt_us * 1e-6 * 0.5 / 6196  # of the table, and of the rounded decay
        assert abs(factor / 2.0**shift - exact) <= exact * slack + 1e-8
    assert hn.decay_factor(word, np.int64(0)) == (2**24, 24)


def market(seed=3) -> Market:
    config = spec.LobConfig(64, 4, 3)
    return new_market(config, spec.empty_book(config), seed=seed, reference_tick=1000, next_order_id=1)


def step(state, params, events, horizon_us=0):
    horizon = np.array([events, horizon_us], np.int32)
    return run_market_step(hn.FLOW.numba_sampler, spec.LobConfig(64, 4, 3), state, NO_AGENTS, params, NOTHING, horizon)


def test_a_restored_snapshot_goes_on_as_if_nothing_had_happened():
    params, whole, first = hk.pack(hand_rates()), market(), market()
    step(whole, params, 500)
    step(first, params, 200)
    assert first.meta[hk.EXCITATION :].any()
    saved = [field.tobytes() for field in (*first.book, first.inbox, first.meta, first.seed)]
    second = market(seed=99)
    for field, content in zip((*second.book, second.inbox, second.meta, second.seed), saved, strict=True):
        field[...] = np.frombuffer(content, field.dtype).reshape(field.shape)
    step(second, params, 300)
    np.testing.assert_array_equal(second.meta, whole.meta)
    for one, other in zip(second.book, whole.book, strict=True):
        np.testing.assert_array_equal(one, other)


def test_excitation_decays_over_the_time_that_a_horizon_cuts_off():
    params, state = hk.pack(hand_rates()), market()
    step(state, params, 300)
    before, start_s = state.meta.copy(), state.meta[1] + state.meta[2] * 1e-9
    excited = state.meta[WORDS].astype(float).reshape(2, 10)
    draws = 0
    while draws < 20:  # horizons of 100 us that end before the proposal: the words stay, the clock moves
        step(state, params, 10**6, 100)
        if (state.meta[hk.TIME_S :] != before[hk.TIME_S :]).any():
            break
        draws += 1
    assert draws >= 3
    elapsed = state.meta[hk.TIME_S] + state.meta[hk.TIME_NS] * 1e-9 - start_s
    after = excited * np.exp(-DECAYS * elapsed)[:, None]
    out = state.meta[WORDS].astype(float).reshape(2, 10)
    if state.meta[spec.META_NEXT_ORDER_ID] == before[spec.META_NEXT_ORDER_ID]:
        np.testing.assert_allclose(out, after, rtol=1e-4, atol=3)
    else:
        assert (out >= after * (1 - 1e-4) - 3).all()


def test_short_horizons_do_not_change_the_law():
    """Decay left out between steps of 5 ms would multiply bursts."""
    rates, totals = hand_rates(), {}
    config = spec.LobConfig(64, 4, 3)
    for horizon_us, steps in ((5_000, 4000), (20_000_000, 1)):
        state = new_market(config, spec.empty_book(config, (48,)), seed=11 + steps, reference_tick=1000)
        state.seed[:, 1] = np.arange(48)
        step(state, hk.pack(rates), 10**6, 20_000_000)
        count = np.zeros(48)
        for _ in range(steps):
            count += step(state, hk.pack(rates), 10**6, horizon_us).summary[:, spec.SUM_EVENTS]
        totals[horizon_us] = count
    short, long = totals.values()
    assert abs(short.mean() - long.mean()) < 4 * ((short.var() + long.var()) / 48) ** 0.5


def test_a_jump_beyond_the_words_is_dropped():
    params = hk.pack(hand_rates())
    meta = np.zeros(spec.NUM_META, np.int32)
    meta[hk.EXCITATION : hk.EXCITATION + 10] = hk.MAX_EXCITATION // 10
    before = meta.copy()
    hn.excite(params, meta, 0, hk.TAKE, 1 << 16)
    np.testing.assert_array_equal(meta[: hk.EXCITATION + 10], before[: hk.EXCITATION + 10])
    np.testing.assert_array_equal(meta[WORDS][10:] > 0, branching()[1, :, hk.TAKE].ravel() > 0)


def test_the_branching_ratio_is_the_spectral_radius_of_all_ten_types():
    same, other = branching().sum(0)
    whole = np.block([[same, other], [other, same]])
    np.testing.assert_allclose(hk.branching_ratio(hand_rates()), np.abs(np.linalg.eigvals(whole)).max(), rtol=1e-12)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spread_edge_tick", np.array([0])),
        ("spread_edge_tick", np.arange(1, 5)),
        ("depth_edge_lots", np.array([-1])),
        ("depth_edge_lots", np.array([np.nan])),
        ("base_rate", np.ones((2, 2, 4))),
        ("base_rate", np.full((2, 2, 5), -0.1)),
        ("base_rate", np.full((2, 2, 5), np.inf)),
        ("base_rate", np.ones((2, 2, 5)) * np.array([1, 0, 1, 1, 1])),
        ("base_rate", np.full((2, 2, 5), 1e7)),
        ("decay_rate", np.array([0.01, 1.0])),
        ("decay_rate", np.array([1.0, np.nan])),
        ("decay_rate", np.array([1.0, 2.0, 3.0])),
        ("jump_rate", np.zeros((1, 2, 5, 5))),
        ("jump_rate", branching() * -1),
        ("jump_rate", branching() * 10 * DECAYS[:, None, None, None]),
        ("far_cancel_rate", float("nan")),
        ("far_cancel_rate", 1e7),
        ("window_tick", 0),
        ("window_tick", 1.5),
        ("empty_spread_tick", 0),
        ("behind_weight", np.zeros(3)),
        ("behind_weight", np.ones(129)),
        ("inside_frac", np.ones(128)),
        ("limit_lots", SIZES[:-1]),
        ("market_lots", SIZES * 0),
        ("limit_mark", np.full(128, np.nan)),
        ("market_mark", np.full(128, 2.0**15)),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        hk.pack(hand_rates(**{field: value}))


def test_packing_keeps_rates_to_the_stated_resolution():
    rates = hand_rates()
    params = hk.pack(rates)
    unit = 2.0 ** -(8 + params[hk.RATE_SHIFT])
    base = params[hk.BASE_RATES : hk.JUMPS].reshape(4, 4, 5)
    np.testing.assert_allclose(base[:2, :2] * unit, rates.base_rate, atol=unit / 2)
    fine = unit * 2.0 ** -params[hk.EXTRA_SHIFTS : hk.EXTRA_SHIFTS + 2].astype(float)
    jumps = params[hk.JUMPS : hk.DISTANCES].reshape(2, 2, 5, 5) * fine[:, None, None, None]
    np.testing.assert_allclose(jumps, rates.jump_rate, atol=fine.max() / 2)
    assert fine.max() < 2e-5
    # What an event can add, 32 times over, and the largest mark fit below the bound.
    largest = (
        params[hk.JUMPS : hk.DISTANCES].reshape(2, 2, 5, 5).sum((1, 3)).max() * params[hk.LIMIT_MARKS :].max() / 2**16
    )
    assert 32 * largest <= hk.MAX_EXCITATION
