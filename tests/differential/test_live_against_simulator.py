"""The same policy over the same recorded market does the same in the live bridge and in the simulator.

Step by step: actions, integer features, quotes, fills, inventory. The policy is a fixed random network, so it answers
every feature and hardly ever within rounding of a tie.
"""

import jax
import numpy as np

from kernels.execution.quotes import NUM_ACTIONS
from kernels.features.normalise import Normaliser, default_normaliser
from kernels.features.table import NUM_FEATURES
from kernels.lob.host import HostBook
from kernels.lob.spec import Book
from live_bridge.journal import JournalReader
from live_bridge.paper import PaperConfig, open_paper
from live_bridge.policy import PolicyAnswer
from live_bridge.records import decode
from live_bridge.types import Decision, Fill
from market_models.registry import get_flow
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, MarketMakingConfig, StartPool
from tests.support.paper_market import START_S, make_market

EVENTS, DECISIONS = 10, 60
LATENCY_NS = 3_000_000


class NetworkPolicy:
    """argmax of a fixed random linear layer over squashed observations."""

    digest = "fixed random network"

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self._weights = rng.normal(size=(NUM_FEATURES, NUM_ACTIONS)).astype(np.float32)
        self.observations: list[np.ndarray] = []

    @property
    def normaliser(self) -> Normaliser:
        return default_normaliser()

    def act(self, obs: np.ndarray) -> PolicyAnswer:
        self.observations.append(obs)
        return PolicyAnswer(int(np.argmax(np.tanh(obs) @ self._weights)), 0.0)


def simulate(data, policy: NetworkPolicy):
    """The simulator's episode: (actions, observations, inventory after each step, fills, traded lots)."""
    config = MarketMakingConfig(background_rows=EVENTS)
    host = HostBook(config.market.lob, "oracle")
    out = host.apply(data.seed)
    pool = StartPool(
        book=Book(*(np.array(field)[None] for field in host.book)),
        depth=np.array(out.depth)[None],
        clock=np.array([[START_S, 0]], np.int32),
        next_order_id=np.array([1], np.int32),
        reference_tick=np.array([int(out.depth[:, 0, 0].sum()) // 2], np.int32),
        row=np.array([0], np.int32),
    )
    params = EnvParams(
        max_steps_in_episode=DECISIONS,
        flow_params=np.zeros(1, np.int32),
        horizon=np.array([EVENTS, 0], np.int32),
        latency_ns=LATENCY_NS,
        quote_lots=10,
        inventory_cap_lots=40,
        liquidate=0,
    )
    env = MarketMaking(config, get_flow("replay"), pool, params, background=data.background)
    key = jax.random.key(0)
    obs, state = jax.jit(env.reset_env)(key, env.default_params)
    step = jax.jit(env.step_env)
    rows = []
    for _ in range(DECISIONS):
        action = policy.act(np.asarray(obs)).action
        obs, state, _, _, info = step(key, state, action, env.default_params)
        rows.append((action, int(info["inventory"]), int(info["num_fills"]), int(info["traded_lots"])))
    return rows


def test_a_paper_session_repeats_the_simulators_episode_step_by_step(tmp_path):
    data = make_market(EVENTS * DECISIONS, seed=3)
    simulated, lived = NetworkPolicy(), NetworkPolicy()
    rows = simulate(data, simulated)
    opened = open_paper(
        PaperConfig(
            directory=tmp_path,
            market=data,
            policy=lived,
            backend="oracle",
            horizon_events=EVENTS,
            latency_ns=LATENCY_NS,
            episode_steps=DECISIONS,
            quote_lots=10,
            inventory_cap_lots=40,
        )
    )
    inventory, num_fills, traded, actions, after = 0, 0, 0, [], []
    try:
        opened.run()
    finally:
        opened.close()
    for frame in JournalReader(opened.session.journal_directory).frames():
        body = decode(frame.payload)
        if isinstance(body, Decision):
            after.append((inventory, num_fills, traded))
            actions.append(body.action)
        elif isinstance(body, Fill):
            inventory += (1 - 2 * body.side) * body.lots
            num_fills += 1
            traded += body.lots
    assert actions[:DECISIONS] == [row[0] for row in rows]
    assert after[1 : DECISIONS + 1] == [row[1:] for row in rows]
    assert num_fills > 15
    np.testing.assert_allclose(lived.observations[:DECISIONS], simulated.observations, atol=2e-6)
