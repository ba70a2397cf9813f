"""Trading bars: the account against a ledger, rewards against formulas, optima against theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.features.bars import WARM_UP_BARS
from market_models.prices import geometric_walk
from sim.bars.make import make_pairs, make_portfolio, make_trading
from sim.registry import make_environment
from tests.oracles.bar_ledger import Ledger

KEY = jax.random.key(2)


def play(env, actions, key=KEY, **changes):
    """Every state, reward and info of one episode."""
    params = env.default_params.replace(**changes)
    _, start = env.reset_env(key, params)

    def step(state, action):
        obs, state, reward, terminated, info = env.step_env(key, state, action, params)
        return state, (state, reward, terminated, info, obs)

    return start, jax.jit(lambda s, a: jax.lax.scan(step, s, a))(start, jnp.asarray(actions))[1]


def play_all(env, policy):
    """What `policy(state)` earns, float32[P, T] rewards and infos, on every path of the environment."""
    params = env.default_params

    def step(state, _):
        _, state, reward, _, info = env.step_env(KEY, state, policy(state), params)
        return state, (reward, info)

    def episode(path):
        state = env.reset_env(KEY, params)[1]
        state = state.replace(path=path, gap=jnp.asarray(env.paths.gap)[path])
        return jax.lax.scan(step, state, None, env.paths.num_bars)[1]

    return jax.jit(jax.vmap(episode))(jnp.arange(env.paths.num_paths))


@pytest.mark.parametrize("latency", [0, 1])
def test_the_account_is_that_of_a_ledger_of_cash_and_units(latency):
    book = {"depth": 4000.0, "permanent": 1e-4, "resilience": 0.02}
    env = make_portfolio(
        num_bars=40,
        path_count=3,
        fee_bps=2.0,
        borrow_bps=1.5,
        slippage={"name": "fixed_ticks", "ticks": 0.01},
        impact={"name": "transient", **book},
        latency_bars=latency,
        max_gross_frac=10.0,
    )
    actions = np.random.default_rng(1).uniform(-1, 1, (40, 2)).astype(np.float32)
    start, (state, _, _, info, _) = play(env, actions)
    base = np.asarray(env.paths.price, np.float64)[int(start.path)]
    ledger = Ledger(1e6, 2.0, 0.01, bar_s=60.0, borrow_bps=1.5, **book)
    waits = [0.0, 0.0]
    for bar in range(40):
        now = actions[bar].tolist()
        ledger.trade_to(waits if latency else now, base[bar])
        waits = now
        ledger.pass_bar()
        assert float(state.equity[bar]) == pytest.approx(ledger.equity(base[bar + 1]), rel=3e-5)
        np.testing.assert_allclose(state.units[bar], ledger.units, rtol=1e-3, atol=0.5)
    np.testing.assert_allclose(info["pnl_frac"], np.asarray(state.equity) / 1e6 - 1, atol=1e-6)
    assert float(info["costs_frac"][-1]) > 0 and float(info["turnover_frac"][-1]) > 10


def test_costs_turnover_and_drawdown_add_up_over_an_episode():
    env = make_trading(num_bars=60, path_count=2, fee_bps=3.0, levels=(-1.0, 0.0, 1.0))
    _, (state, _, _, info, _) = play(env, np.tile([0, 2, 1], 20))
    np.testing.assert_allclose(info["costs_frac"], 3e-4 * np.asarray(info["turnover_frac"]), rtol=1e-4)
    equity = np.concatenate([[1e6], np.asarray(state.equity, np.float64)])
    deepest = np.maximum.accumulate(1 - equity / np.maximum.accumulate(equity))
    np.testing.assert_allclose(info["drawdown_frac"], deepest[1:], atol=1e-6)


def test_closing_at_the_end_pays_for_it_and_terminates():
    env = make_trading(num_bars=4, path_count=2, fee_bps=10.0)
    _, (left, _, cut, _, _) = play(env, [4] * 4, liquidate=0)
    _, (closed, _, done, _, _) = play(env, [4] * 4, liquidate=1)
    assert not np.asarray(cut).any() and np.asarray(done).tolist() == [False] * 3 + [True]
    assert not np.asarray(closed.units[-1]).any()
    expected = 1e-3 * float(left.units[-1, 0]) * float(env.paths.price[int(left.path[-1]), 4, 0])
    assert float(left.equity[-1] - closed.equity[-1]) == pytest.approx(expected, rel=1e-2)


def test_ruin_ends_an_episode_before_its_limit():
    params = geometric_walk.EXAMPLE._replace(volatility_per_bar=0.5)
    env = make_trading(num_bars=30, path_count=64, process_params=params, ruin_frac=0.9)
    _, (state, reward, done, _, _) = play(env, [4] * 30)
    first = int(np.argmax(done))
    assert float(state.equity[first]) <= 0.9e6 < float(state.equity[first - 1] if first else 1e6)
    assert np.isfinite(reward[: first + 1]).all()


@pytest.mark.parametrize("aversion", [0.0, 1.0, 4.0])
def test_the_reward_is_the_utility_of_the_bars_return(aversion):
    env = make_trading(num_bars=20, path_count=2)
    _, (_, reward, _, info, _) = play(env, [4, 0] * 10, risk_aversion=np.float32(aversion))
    gained = np.asarray(info["bar_return_frac"], np.float64)
    utility = np.log1p(gained) if aversion == 1 else ((1 + gained) ** (1 - aversion) - 1) / (1 - aversion)
    np.testing.assert_allclose(reward, 100 * utility, rtol=1e-3, atol=1e-5)


def test_the_differential_sharpe_ratio_is_the_derivative_of_the_running_one():
    env = make_trading(num_bars=50, path_count=2, reward="differential_sharpe", reward_scale=1.0)
    _, (state, reward, _, info, _) = play(env, [4] * 50)
    gained = np.asarray(info["bar_return_frac"], np.float64)
    mean, square = np.asarray(state.moments.mean, np.float64), np.asarray(state.moments.square, np.float64)

    def sharpe(bar, decay):
        a = mean[bar - 1] + decay * (gained[bar] - mean[bar - 1])
        b = square[bar - 1] + decay * (gained[bar] ** 2 - square[bar - 1])
        return a / np.sqrt(b - a * a)

    for bar in (20, 35, 49):
        slope = (sharpe(bar, 1e-6) - sharpe(bar, -1e-6)) / 2e-6
        assert float(reward[bar]) == pytest.approx(slope, rel=1e-2, abs=1e-3)


def test_the_best_constant_weight_is_mertons():
    aversion = 2.0
    params = geometric_walk.EXAMPLE._replace(log_drift_per_bar=0.003, volatility_per_bar=0.05)
    levels = (0.0, 0.4, 0.6, 0.8, 0.9, 1.0)
    options = {"process_params": params, "levels": levels, "fee_bps": 0.0, "risk_aversion": aversion}
    env = make_trading(num_bars=64, path_count=2048, **options)
    found = [float(play_all(env, lambda _, i=i: jnp.int32(i))[0].mean()) for i in range(len(levels))]
    # The same bars in float64: the reward of a weight, and the best of all weights.
    change = np.asarray(env.paths.change[..., 0], np.float64)

    def utility(weight):
        return (((1 + weight * change) ** (1 - aversion) - 1) / (1 - aversion)).mean()

    np.testing.assert_allclose(found, [100 * utility(weight) for weight in levels], atol=2e-4)
    weights = np.linspace(0, 2, 2001)
    best = weights[np.argmax([utility(weight) for weight in weights])]
    moves = np.log1p(change)
    merton = (moves.mean() + moves.var() / 2) / (aversion * moves.var())  # continuous time
    assert best == pytest.approx(merton, abs=0.03)
    assert levels[int(np.argmax(found))] == min(levels, key=lambda level: abs(level - best))


def test_a_spread_that_returns_pays_a_position_against_its_gap():
    env = make_pairs(num_bars=100, path_count=512, levels=(-1.0, 0.0, 1.0), fee_bps=0.0)

    def gain(lean):
        _, info = play_all(env, lambda state: 1 - lean * jnp.sign(state.gap[0]).astype(jnp.int32))
        return np.asarray(info["pnl_frac"])[:, -1]

    against, along = gain(1), gain(-1)
    assert against.mean() > 4 * against.std() / np.sqrt(512) > 0
    assert along.mean() < 0
    np.testing.assert_allclose(np.abs(env.paths.directions).sum(1), 1.0, rtol=1e-6)


def test_weights_stay_within_the_gross_limit():
    env = make_portfolio(num_bars=4, path_count=2, max_gross_frac=0.5)
    weights = np.asarray(env.weights(jnp.array([3.0, -1.0]), env.default_params))
    np.testing.assert_allclose(weights, [0.25, -0.25], rtol=1e-6)


def test_lots_are_whole_multiples_and_never_pass_the_weights_asked_for():
    env = make_trading(num_bars=20, path_count=2, lot_size=50.0, fee_bps=0.0, impact={"name": "linear"})
    _, (state, *_) = play(env, [4] * 20)
    units = np.asarray(state.units[:, 0])
    np.testing.assert_allclose(units / 50, np.rint(units / 50), atol=1e-5)


def test_recorded_prices_are_cut_into_paths_and_seeds_are_held_out():
    prices = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, (2000, 2)).cumsum(0))
    one = make_portfolio(prices=prices, num_bars=50, path_count=5)
    other = make_portfolio(prices=prices, num_bars=50, path_count=5, pool_seed=1)
    assert one.num_assets == 2 and not np.array_equal(one.paths.price, other.paths.price)
    at = np.flatnonzero(np.isclose(prices[:, 0], one.paths.price[0, 0, 0], rtol=1e-6))
    np.testing.assert_allclose(one.paths.price[0], prices[at[0] : at[0] + 51], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fee_bp": 1.0}, "BarParams has no field 'fee_bp'"),
        ({"fee_bps": np.nan}, "fee_bps nan is not a finite number"),
        ({"latency_bars": 2}, r"latency_bars 2 is not a whole number in 0..1"),
        ({"latency_bars": 0.5}, r"latency_bars 0.5 is not a whole number in 0..1"),
        ({"max_steps_in_episode": 9}, "max_steps_in_episode 9 passes the paths' 8 bars"),
        ({"num_paths": 9}, "first_path \\+ num_paths passes the 4 paths"),
        ({"levels": (0.5, 0.5)}, "levels .* is not at least two increasing positions"),
        ({"reward": "profit"}, "reward 'profit' is not one of"),
        ({"process": "walk"}, "price model 'walk' is not one of"),
        ({"process": "arithmetic_walk", "process_params": None, "prices": None}, None),
        ({"slippage": {"ticks": 1.0}}, "slippage .* is not a mapping with the key 'name'"),
        ({"slippage": {"name": "walk_the_book"}}, "needs an order book"),
        ({"impact": {"name": "cubic"}}, "impact model 'cubic' is not one of"),
        ({"prices": np.ones((30, 1))}, f"expected \\[T, N\\] with T at least {8 + WARM_UP_BARS + 1}"),
        ({"prices": -np.ones((400, 1))}, "not finite and above 0"),
        ({"prices": np.ones((400, 2))}, "do not fit prices of 2 assets"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(options, message):
    if message is None:
        assert make_environment("trading", num_bars=8, path_count=4, **options).num_actions == 5
        return
    with pytest.raises(ValueError, match=message):
        make_environment("trading", num_bars=8, path_count=4, **options)
