"""Environments by name: one line per addition. The contract tests run over this table."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import environment

from kernels.features.normalise import Normaliser, fit_normaliser
from market_models.calibration import Calibration, load_calibration, pack_params
from market_models.flow import Flow
from market_models.registry import get_flow
from sim.accounts import FeeRates
from sim.bars.make import make_execution, make_pairs, make_portfolio, make_trading
from sim.executor import ExecutorParams
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, MarketMakingConfig, StartPool
from sim.multi_agent import MultiAgent
from sim.multi_agent_types import Learners, MultiAgentParams, default_config
from sim.order_execution import OrderExecution
from sim.params import check_names
from sim.start_states import make_pool
from sim.vector import broadcast_params, market_making_vector

DEFAULT_CALIBRATION: Final = "amzn_2012_06_21_zi"
DEFAULT_POOL_SIZE: Final = 256


def make_market_making(
    calibration: Calibration | str = DEFAULT_CALIBRATION,
    *,
    backend: str = "cpu",
    config: MarketMakingConfig | None = None,
    pool_size: int = DEFAULT_POOL_SIZE,
    pool_seed: int = 0,
    pool: StartPool | None = None,
    normaliser: Normaliser | None = None,
    **params: Any,
) -> MarketMaking:
    """Return market making in a generated market: fees and flow of the calibration, a pool of start states from a seed.

    `params` override fields of `EnvParams`; a ValueError names an unknown one or a value out of range. Held-out
    episodes come from another `pool_seed`; a `pool` made before saves its burn-in (then size and seed do not matter).
    """
    config = config or MarketMakingConfig()
    market, fields = _market(calibration, config, backend, pool, pool_size, pool_seed, EnvParams, params)
    return MarketMaking(config, *market, EnvParams(**fields), backend=backend, normaliser=normaliser)


def make_order_execution(
    calibration: Calibration | str = DEFAULT_CALIBRATION,
    *,
    continuous: bool = False,
    backend: str = "cpu",
    config: MarketMakingConfig | None = None,
    pool_size: int = DEFAULT_POOL_SIZE,
    pool_seed: int = 0,
    pool: StartPool | None = None,
    normaliser: Normaliser | None = None,
    **params: Any,
) -> OrderExecution:
    """Return execution of a parent order in a generated market; options as of `make_market_making`.

    `params` override fields of `ExecutorParams`; `continuous` makes an action two numbers.
    """
    config = config or MarketMakingConfig()
    market, fields = _market(calibration, config, backend, pool, pool_size, pool_seed, ExecutorParams, params)
    kind = {"continuous": continuous, "backend": backend, "normaliser": normaliser}
    return OrderExecution(config, *market, ExecutorParams(**fields), **kind)


def make_multi_agent(
    calibration: Calibration | str = DEFAULT_CALIBRATION,
    *,
    num_makers: int = 2,
    num_executors: int = 1,
    makers: Mapping[str, Any] | None = None,
    executors: Mapping[str, Any] | None = None,
    backend: str = "cpu",
    config: MarketMakingConfig | None = None,
    pool_size: int = DEFAULT_POOL_SIZE,
    pool_seed: int = 0,
    pool: StartPool | None = None,
    normaliser: Normaliser | None = None,
    **params: Any,
) -> MultiAgent:
    """Return several learners in one generated market; options as of `make_market_making`.

    `makers` and `executors` override fields of `EnvParams` and `ExecutorParams`, with one value for all of the role or
    one for each; `params` override fields of `MultiAgentParams`.
    """
    learners = Learners(num_makers, num_executors)
    config = config or default_config(learners)
    market, fields = _market(calibration, config, backend, pool, pool_size, pool_seed, MultiAgentParams, params)
    fees = fields.pop("fees")
    roles = {"makers": (EnvParams, makers), "executors": (ExecutorParams, executors)}
    for role, (kind, given) in roles.items():
        check_names(given or {}, kind, role)
        fields[role] = kind(**{"fees": fees, **(given or {})})
    made = MultiAgentParams(**fields)
    return MultiAgent(config, *market, made, learners, backend=backend, normaliser=normaliser)


def _market(
    calibration: Calibration | str,
    config: MarketMakingConfig,
    backend: str,
    pool: StartPool | None,
    pool_size: int,
    pool_seed: int,
    kind: type,
    params: dict[str, Any],
) -> tuple[tuple[Flow, StartPool], dict[str, Any]]:
    """Return the flow and the pool of a calibration, and the fields of the parameters `kind`."""
    if isinstance(calibration, str):
        calibration = load_calibration(calibration)
    check_names(params, kind)
    fees = calibration.fees
    rates = FeeRates(fees.maker_bps, fees.taker_bps, fees.maker_per_lot_tick, fees.taker_per_lot_tick)
    if pool is None:
        pool = make_pool(config.market, calibration, pool_size, seed=pool_seed, backend=backend)
    defaults = {"flow_params": pack_params(calibration), "fees": rates, "num_starts": pool.size}
    return (get_flow(calibration.model), pool), {**defaults, **params}


ENVIRONMENTS: Final[dict[str, Callable[..., environment.Environment]]] = {
    "execution": make_order_execution,
    "execution_on_prices": make_execution,
    "market_making": make_market_making,
    "multi_agent": make_multi_agent,
    "pairs": make_pairs,
    "portfolio": make_portfolio,
    "trading": make_trading,
}


def make_environment(name: str, **options: Any) -> environment.Environment:
    """Return the environment `name`; a ValueError names the valid ones."""
    if name not in ENVIRONMENTS:
        raise ValueError(f"environment {name!r} is not one of {sorted(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](**options)


def measure_normaliser(env: MarketMaking, *, seed: int = 0, num_envs: int = 32, num_steps: int = 256) -> Normaliser:
    """Return the normaliser that gives the columns mean 0 and deviation 1 while actions are drawn uniformly."""
    vector = market_making_vector(env, phases=4)
    params = broadcast_params(env.default_params, num_envs)
    observe = jax.vmap(env.columns)

    def step(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        key_action, key_step = jax.random.split(key)
        action = jax.random.randint(key_action, (num_envs,), 0, env.num_actions)
        state, _ = vector.step(key_step, state, action, params)
        return state, observe(state, params)

    key_reset, key_steps = jax.random.split(jax.random.key(seed))
    state, _ = vector.reset(key_reset, params)
    _, columns = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(key_steps, num_steps)))(state)
    return fit_normaliser(np.asarray(jnp.reshape(columns, (-1, columns.shape[-1]))))
