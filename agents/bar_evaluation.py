"""Who earns what on bars: tuned classical strategies and trained agents on the same held-out paths.

Tuning gets the budget of the market-making baselines (agents/tuning.py) and validation paths alone; the table is made
on any split. Rows have the keys of `evaluation.table_rows`; money is a share of the starting equity.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from agents.bar_episodes import BarMarkets, BarResults, fits, play_bars, play_strategy
from agents.bar_strategies import BAR_STRATEGIES
from agents.evaluation import agent_name, strategy_rows
from agents.players import ParameterSet, population_player
from agents.tuning import Tuned, parameter_sets, set_rows


class BarEvaluation(NamedTuple):
    """What K strategies did on P paths."""

    market: str  # environment and split, for people
    split: str
    kinds: tuple[str, ...]  # [K] "baseline" or "agent"
    names: tuple[str, ...]  # [K]
    results: BarResults  # each [K, P]

    def pnl(self, name: str) -> np.ndarray:
        """Return one strategy's PnL float64[P]; ValueError names those that there are."""
        if name not in self.names:
            raise ValueError(f"'{name}' was not evaluated; there are {', '.join(self.names[:8])}, ...")
        return np.asarray(self.results.pnl_frac[self.names.index(name)], np.float64)


def tune_bars(
    markets: BarMarkets, count: int, names: Sequence[str] | None = None, *, seed: int = 0
) -> tuple[list[Tuned], BarEvaluation]:
    """Search `count` parameter sets of each strategy, the best by mean PnL (the first among equals).

    `names` None: all that fit the environment. Returns the tuned strategies and their own episodes. ValueError unless
    `markets` are validation paths, or for a strategy that cannot play them. `validation_mean_pnl` is a share of equity.
    """
    if markets.split != "validation":
        raise ValueError(f"baselines are tuned on validation paths, not on {markets.split}")
    chosen = [name for name in BAR_STRATEGIES if fits(name, markets.env)] if names is None else list(names)
    tuned, kept = [], []
    for name in chosen:
        sets = set_rows(parameter_sets(BAR_STRATEGIES[name], count, seed))
        results = play_strategy(markets, name, sets)
        means = results.pnl_frac.astype(np.float64).mean(axis=1)
        best = int(np.argmax(means))
        tuned.append(Tuned(name, sets[best], len(sets), float(means[best])))
        kept.append(BarResults(*(field[best : best + 1] for field in results)))
    return tuned, _joined(markets, ["baseline"] * len(chosen), chosen, kept)


def evaluate_bars(
    markets: BarMarkets, sets: Sequence[ParameterSet], population: Mapping[str, Any] | None = None
) -> BarEvaluation:
    """Let classical strategies (name, parameters) and every agent of a population play every path.

    `population` is `networks.load_population` of a run in an environment with the same observation and levels; its
    agents play greedily. ValueError for two strategies of one name, continuous actions, or agents of another shape.
    """
    names, kinds = [name for name, _ in sets], ["baseline"] * len(sets)
    if len(set(names)) != len(names):
        raise ValueError("two strategies have the same name")
    played = [play_strategy(markets, name, [values]) for name, values in sets]
    if population is not None:
        actor = population["actor"]
        _check_actor(markets, actor)
        agents = jax.tree.leaves(actor)[0].shape[0]
        names += [agent_name(index) for index in range(agents)]
        kinds += ["agent"] * agents
        played.append(play_bars(markets, population_player(), actor))
    return _joined(markets, kinds, names, played)


def bar_table_rows(evaluation: BarEvaluation, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row a strategy: baselines, agents, each by mean PnL.

    `mean_pnl` an episode as a share of the starting equity with its 95 % BCa interval `ci`; `sharpe` of an episode's
    PnL; `max_drawdown` the deepest fall within an episode, a share of the peak; `fills` bars with a trade, `turnover`
    notional over the starting equity and `mean_abs_inventory` the gross weight of a mean episode.
    """
    results = evaluation.results
    columns = {
        "max_drawdown": results.max_drawdown_frac.max(1),
        "fills": results.num_trades.mean(1),
        "turnover": results.turnover_frac.mean(1),
        "mean_abs_inventory": results.mean_gross_frac.mean(1),
    }
    return strategy_rows(evaluation, results.pnl_frac, columns, seed=seed)


def _check_actor(markets: BarMarkets, actor: Any) -> None:
    env = markets.env
    if not env.config.levels:
        raise ValueError("agents choose among levels, this environment's actions are continuous; give it levels")
    layers = sorted(np.shape(leaf)[1:] for leaf in jax.tree.leaves(actor) if np.ndim(leaf) == 3)
    if not any(shape[0] == env.obs_dim for shape in layers) or not any(shape[1] == env.num_actions for shape in layers):
        raise ValueError(
            f"the agents' layers {layers} do not take {env.obs_dim} observations to {env.num_actions} actions"
        )


def _joined(
    markets: BarMarkets, kinds: Sequence[str], names: Sequence[str], played: Sequence[BarResults]
) -> BarEvaluation:
    results = BarResults(*(np.concatenate(field) for field in zip(*played, strict=True)))
    market = f"{markets.env.name} on bars, {markets.split}"
    return BarEvaluation(market, markets.split, tuple(kinds), tuple(names), results)
