"""One implementation for live and for the simulator: numpy and jax.numpy agree on every feature, quote and message."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import quotes
from kernels.execution.quotes import QuoteLimits, Quotes
from kernels.features.columns import AccountView, columns
from kernels.features.market import History, advance_history, elapsed_us, start_history, strip_own
from kernels.features.normalise import default_normaliser, normalise
from kernels.lob import spec

BATCH = 4096
EXTREME = np.array([-(2**31), 2**31 - 1, -(2**30), 2**30, 0, 1, -1, 2**24, 2**20], np.int64)


def integers(rng, low, high, shape):
    """Mostly ordinary values, now and then one at the end of a range."""
    plain = rng.integers(low, high, shape, endpoint=True)
    odd = np.clip(rng.choice(EXTREME, shape), low, high)
    return np.where(rng.random(shape) < 0.05, odd, plain).astype(np.int32)


def random_book(rng):
    bid = rng.integers(-50, 50, BATCH)
    spread = rng.integers(1, 20, BATCH)
    gaps = rng.integers(1, 6, (BATCH, 2, 6)).cumsum(axis=-1) - 1
    price = np.stack([bid[:, None] - gaps[:, 0], (bid + spread)[:, None] + gaps[:, 1]], axis=1)
    far = rng.random(BATCH) < 0.05
    price[far] = integers(rng, -(2**30), 2**30, price.shape)[far]
    lots = integers(rng, 1, 300, (BATCH, 2, 6))
    lots = np.where(rng.random(lots.shape) < 0.02, 2**31 - 1, lots)
    num_levels = rng.integers(0, 7, (BATCH, 2, 1))
    empty = np.arange(6) >= num_levels
    return np.where(empty[..., None], 0, np.stack([price, lots], axis=-1)).astype(np.int32)


def random_own(rng, depth):
    level = rng.integers(0, 6, (BATCH, 2))
    at = np.take_along_axis(depth, level[..., None, None], axis=2)[:, :, 0]
    own = np.zeros((BATCH, 2, spec.NUM_OWN_COLUMNS), np.int32)
    own[..., spec.OWN_PRESENT] = rng.random((BATCH, 2)) < 0.6
    own[..., spec.OWN_PRICE_TICK] = at[..., 0]
    own[..., spec.OWN_LOTS] = np.minimum(np.where(rng.random((BATCH, 2)) < 0.5, at[..., 1], 3), 2**30)
    own[..., spec.OWN_ORDER_ID] = rng.integers(2**30, 2**31 - 1, (BATCH, 2))
    own[..., spec.OWN_LOTS_AHEAD] = integers(rng, 0, 2**31 - 1, (BATCH, 2))
    return own * own[..., :1]


def random_account(rng):
    cap = np.maximum(integers(rng, 1, 2000, BATCH), 1)
    cap = np.minimum(np.where(rng.random(BATCH) < 0.05, 2**30, cap), 2**30).astype(np.int32)
    inventory = (rng.uniform(-1, 1, BATCH) * cap).astype(np.int32)
    return AccountView(inventory, cap, integers(rng, 0, 500, BATCH), rng.integers(0, 2, (BATCH, 2)).astype(np.int32))


@pytest.mark.parametrize("seed", [0, 1])
def test_columns_have_the_same_bits_and_normalised_features_agree_to_a_millionth(seed):
    rng = np.random.default_rng(seed)
    depth, next_depth = random_book(rng), random_book(rng)
    summary = integers(rng, -(2**31), 2**31 - 1, (BATCH, spec.NUM_SUMMARY))
    own, view = random_own(rng, next_depth), random_account(rng)
    clocks = [integers(rng, 0, 60_000, BATCH) for _ in range(2)] + [integers(rng, 0, 999_999_999, BATCH)] * 2

    def chain(xp, depth, next_depth, summary, own, view, clocks):
        history = start_history(xp, depth)
        elapsed = elapsed_us(xp, (clocks[0], clocks[2]), (clocks[1], clocks[3]))
        for _ in range(3):  # a moving average has to agree in its memory too
            history = advance_history(xp, history, strip_own(xp, next_depth, own), summary, elapsed)
        raw = columns(xp, next_depth, summary, history, own, view)
        return history, raw, normalise(xp, raw, default_normaliser())

    arguments = (depth, next_depth, summary, own, view, clocks)
    with np.errstate(all="raise"):
        history, raw, inputs = chain(np, *arguments)
    history_jax, raw_jax, inputs_jax = jax.jit(lambda args: chain(jnp, *args))(arguments)
    assert raw.dtype == np.int32 and raw_jax.dtype == jnp.int32
    np.testing.assert_array_equal(raw, raw_jax)
    for name, ours, theirs in zip(History._fields, history, history_jax, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert inputs.dtype == np.float32 and inputs_jax.dtype == jnp.float32
    np.testing.assert_allclose(inputs, inputs_jax, rtol=0, atol=1e-6)
    assert np.isfinite(inputs).all() and np.abs(inputs).max() <= 5.0


def quote_chain(xp, action, wanted, depth, own, view, limits, next_id, arrival):
    net = strip_own(xp, depth, own)
    by_table = quotes.target_quotes(xp, action, net, view.inventory_lots, limits)
    by_price = quotes.limit_quotes(xp, wanted, net, view.inventory_lots, limits)
    plans = [quotes.plan_quotes(xp, target, own, view.pending) for target in (by_table, by_price)]
    messages = [quotes.quote_messages(xp, plan, next_id, arrival, 1) for plan in plans]
    return by_table, by_price, plans, messages


def random_decision(seed):
    rng = np.random.default_rng(seed)
    depth = random_book(rng)
    own, view = random_own(rng, depth), random_account(rng)
    limits = QuoteLimits(rng.integers(1, 300, BATCH).astype(np.int32), view.inventory_cap_lots)
    wanted = Quotes(rng.random((BATCH, 2)) < 0.8, integers(rng, -60, 80, (BATCH, 2)))
    action = rng.integers(-2, 40, BATCH).astype(np.int32)
    arrival = (integers(rng, 0, 60_000, BATCH), integers(rng, 0, 999_999_999, BATCH))
    next_id = rng.integers(2**30, 2**31 - 2, BATCH).astype(np.int32)
    return action, wanted, depth, own, view, limits, next_id, arrival


def test_quotes_plans_and_messages_have_the_same_bits():
    arguments = random_decision(2)
    ours = quote_chain(np, *arguments)
    theirs = jax.jit(lambda args: quote_chain(jnp, *args))(arguments)
    for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert left.dtype == right.dtype and left.dtype in (np.int32, np.bool_)
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("seed", [3, 4])
def test_no_quote_crosses_meets_its_twin_or_passes_the_cap_even_if_everything_fills(seed):
    action, wanted, depth, own, view, limits, next_id, arrival = random_decision(seed)
    _, _, plans, _ = quote_chain(np, action, wanted, depth, own, view, limits, next_id, arrival)
    net = strip_own(np, depth, own)
    sign = np.array([1, -1])
    for plan in plans:
        opposite = net[:, ::-1, 0, :]
        assert np.all(~plan.place | (opposite[..., 1] > 0))
        near = np.abs(opposite[..., 0]) < 2**29
        inside = sign * (opposite[..., 0].astype(np.int64) - plan.price_tick) >= 1
        assert np.all(~plan.place | ~near | inside)
        both = plan.place.all(axis=-1)
        assert np.all(~both | (plan.price_tick[:, 0] < plan.price_tick[:, 1]))
        assert np.all((plan.lots >= 1) == plan.place) and np.all(plan.lots <= limits.quote_lots[:, None])
        cancelled = np.where(plan.cancel, own[..., spec.OWN_LOTS], 0).astype(np.int64)
        worst = sign * view.inventory_lots[:, None] + cancelled + plan.lots
        assert np.all(~plan.place | (worst <= limits.inventory_cap_lots[:, None]))
        assert not np.any((plan.place | plan.cancel) & (view.pending > 0))


@pytest.mark.parametrize("seed", [5, 6])
def test_no_intermediate_of_a_column_passes_int32(seed):
    rng = np.random.default_rng(seed)
    depth, next_depth = random_book(rng), random_book(rng)
    summary = integers(rng, -(2**31), 2**31 - 1, (BATCH, spec.NUM_SUMMARY))
    own, view = random_own(rng, next_depth), random_account(rng)

    def chain(dtype):
        wide = [array.astype(dtype) for array in (depth, next_depth, summary, own)]
        history = start_history(np, wide[0])
        elapsed = np.zeros(BATCH, dtype)
        history = advance_history(np, history, strip_own(np, wide[1], wide[3]), wide[2], elapsed)
        return columns(np, wide[1], wide[2], history, wide[3], AccountView(*(array.astype(dtype) for array in view)))

    np.testing.assert_array_equal(chain(np.int32), chain(np.int64))
