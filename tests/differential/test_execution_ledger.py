"""Execution in a generated market against a ledger kept in plain Python from the engine's own fills."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import child
from kernels.features.market import DEPTH_LEVELS
from kernels.lob import spec
from market_models.latency import log_normal_table
from sim.market_making_types import OWNER
from sim.registry import make_order_execution
from sim.start_states import make_pool
from tests.support.markets import CONFIG, small_calibration

BEYOND_TICK = 11
LOTS = 60


def small(**params):
    return make_order_execution(
        small_calibration(),
        **{
            "config": CONFIG,
            "pool_size": 4,
            "max_steps_in_episode": 10,
            "parent_lots": LOTS,
            "cross_tick": 4,
            "latency_ns": 30_000_000,
            "horizon": np.array([6, 0], np.int32),
            "liquidation_beyond_tick": BEYOND_TICK,
            **params,
        },
    )


def spy(env):
    """Return a list that receives the output of every market step of `env`, traced where the step is."""
    seen, advance = [], env.venue.advance

    def recording(*args):
        result = advance(*args)
        seen.append(result[1])
        return result

    env.venue.advance = recording
    return seen


def others(market, side):
    """Return the visible levels of the background, best first, from the book itself."""
    book = market.book
    levels = {}
    for slot in range(int(book.num_orders[side])):
        if int(book.owner[side, slot]) == 0:
            price_tick = int(book.price_tick[side, slot])
            levels[price_tick] = levels.get(price_tick, 0) + int(book.lots[side, slot])
    return sorted(levels.items(), reverse=side == spec.BUY)[:DEPTH_LEVELS]


class Ledger:
    """Cash and fees of one parent order; prices and lots as Python integers, fees as fractions of a tick."""

    def __init__(self, arrival_half_tick, side):
        self.arrival, self.sign = arrival_half_tick, 1 if side == spec.BUY else -1
        self.lots, self.cost, self.fees, self.fills = 0, 0, 0.0, 0

    def book(self, price_tick, lots, maker):
        self.lots += lots
        self.fills += 1
        self.cost += self.sign * lots * (2 * price_tick - self.arrival)
        self.fees += lots * (-0.25 if maker else 0.5)

    def engine(self, out):
        for fill in np.asarray(out.fills)[: int(out.num_fills)].tolist():
            makes, takes = fill[spec.FILL_MAKER_OWNER] == OWNER, fill[spec.FILL_TAKER_OWNER] == OWNER
            assert makes != takes
            buys = (fill[spec.FILL_TAKER_SIDE] == spec.BUY) == takes
            assert buys == (self.sign > 0)
            self.book(fill[spec.FILL_PRICE_TICK], fill[spec.FILL_LOTS], makes)

    def sweep(self, levels, lots):
        for price_tick, there in levels:
            if lots and there:
                taken = min(lots, there)
                self.book(price_tick, taken, False)
                lots -= taken
        if lots:
            self.book(levels[-1][0] + self.sign * BEYOND_TICK, lots, False)


def with_fills(env):
    """Return the compiled step of `env`, which also returns the engine's output."""
    seen = spy(env)

    @jax.jit
    def step(state, action, params):
        return env.step_env(jax.random.key(0), state, action, params), seen[-1]

    return step, jax.jit(env.reset_env)


def play(env, compiled, side, seed, actions):
    step, reset = compiled
    params = env.default_params.replace(side=np.int32(side))
    _, state = reset(jax.random.key(seed), params)
    ledger = Ledger(int(state.view.history.mid_half_tick), side)
    rewards, info, resting = [], {}, 0
    for action in actions:
        before = state
        (_, state, reward, terminated, info), out = step(state, jnp.int32(action), params)
        rewards.append(float(reward))
        ledger.engine(out)
        ours = np.asarray(state.market.book.owner) == OWNER
        resting = max(resting, int(np.asarray(state.market.book.lots)[ours].sum()))
        assert np.asarray(state.market.book.lots)[ours].sum() <= LOTS - ledger.lots
        assert not ours[1 - side].any() and int(before.parent.account.mark_half_tick) == ledger.arrival
        if terminated:
            ledger.sweep(others(state.market, 1 - side), LOTS - ledger.lots)
            break
        assert int(info["lots_left"]) == LOTS - ledger.lots
    return ledger, rewards, info, resting


@pytest.mark.parametrize("entry", [np.zeros(1, np.int32), log_normal_table(2e7, 0.5, 17)], ids=["constant", "drawn"])
def test_every_shortfall_is_that_of_the_fills_and_of_the_last_market_order(entry):
    env = small(entry_quantiles_ns=entry, reward_scale=1.0)
    compiled = with_fills(env)
    rng = np.random.default_rng(3)
    fills = swept = rested = 0
    for seed in range(6):
        actions = rng.integers(0, child.NUM_ACTIONS, 10)
        if seed >= 4:  # impatient, and patient
            actions = np.full(10, child.encode(child.TWAP, child.CROSS if seed == 4 else child.JOIN))
        ledger, rewards, info, resting = play(env, compiled, seed % 2, seed, actions)
        assert ledger.lots == LOTS and int(info["lots_left"]) == 0
        expected = 0.5 * ledger.cost + ledger.fees
        assert float(info["shortfall_tick_lots"]) == pytest.approx(expected, abs=1e-3)
        assert float(info["fees_tick_lots"]) == pytest.approx(ledger.fees, abs=1e-4)
        assert sum(rewards) == pytest.approx(-expected / LOTS, abs=1e-4)
        assert int(info["num_fills"]) == ledger.fills and int(info["overflows"]) == 0
        fills, swept, rested = fills + ledger.fills, swept + int(info["swept_lots"]), max(rested, resting)
    assert fills > 30 and swept > 0 and rested > 0


def test_an_episode_has_the_same_bits_on_both_backends():
    pool = make_pool(CONFIG.market, small_calibration(), 4, burn_in_events=60, spacing_events=10, num_markets=3)
    actions = np.random.default_rng(7).integers(1, child.encode(child.REST, child.BEHIND), 10)

    def episode(backend):
        env = small(backend=backend, pool=pool)
        step = jax.jit(env.step_env)
        _, state = env.reset_env(jax.random.key(1), env.default_params)
        rows = []
        for action in actions:
            obs, state, reward, terminated, info = step(jax.random.key(0), state, action, env.default_params)
            rows.append(jax.tree.map(np.asarray, (obs, state, reward, terminated, info)))
        return rows

    cpu, xla = episode("cpu"), episode("xla")
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(cpu)]
    for name, left, right in zip(names, jax.tree.leaves(cpu), jax.tree.leaves(xla), strict=True):
        np.testing.assert_array_equal(left, right, err_msg=name)
    assert cpu[-1][3] and cpu[-1][-1]["num_fills"] > cpu[0][-1]["num_fills"] >= 0
