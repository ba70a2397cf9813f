"""The report's sections about a run: what it was, how it learned, how it compares, who was chosen and why."""

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments import report_figures as figures
from experiments.report_data import RunData, episode_series, episode_totals
from experiments.report_page import Markup, Section, command, facts, heading, missing, paragraph, table

QUANTILES = ("q05", "q25", "q50", "q75", "q95", "mean", "best")
MAX_CURVES = 6
MAX_LINES = 6  # strategies in one equity figure
MAX_BASELINES = 3
MAX_AGENTS = 10
SOURCES = {"sim": "simulated markets", "replay": "recorded market"}
_SENTENCES = (
    "{trials} strategies were tried on this data, ever, worth {effective_trials:.1f} independent ones.",
    "{stepm_survivors} of {agents} agents beat doing nothing when all are tested together.",
    "The probability that the best agent's Sharpe ratio is above what luck gives so many is {dsr:.3f}.",
    "The best in one half of the data was below the median in the other in a share of {pbo:.3f} of the splits.",
)
_COMPARED = ("kind", "episodes", "mean_pnl", "ci", "sharpe", "max_drawdown", "win_rate", "fills", "turnover")
_PREFERRED = ("pnl", "return", "reward", "score", "entropy", "kl")


def header(data: RunData, commit: str, made: str) -> Section:
    """Say what this is, from which commit, and how to make it again."""
    run, origin = data.run or {}, data.provenance or {}
    commit = origin.get("commit", commit)
    known = {**run, **origin, "commit": commit, "report made": made}
    parts = [facts([(name.replace("_", " "), value) for name, value in known.items() if _is_plain(value)])]
    parts += [missing(data.missing[name]) for name in ("run", "provenance") if name in data.missing]
    parts.append(paragraph(data_used(data)))
    parts += [heading("Make it again"), command(reproduce(data, commit))]
    final = run.get("final")
    if isinstance(final, Mapping) and final:
        rows = [[name, *(values.get(q) for q in QUANTILES)] for name, values in final.items()]
        parts += [heading("Where the population ended"), table(["metric", *QUANTILES], rows, "over the agents")]
    if data.config is not None:
        parts += [heading("Configuration, resolved"), command(data.config.strip())]
    else:
        parts.append(missing(data.missing["config"]))
    return Section("run", "The run", tuple(parts))


def reproduce(data: RunData, commit: str) -> str:
    """Return the commands that make this run again from its resolved configuration."""
    checkout = f"git checkout {commit.removesuffix('-dirty')}"
    if commit.endswith("-dirty"):
        checkout += "   # the tree had changes that are not in this commit"
    config, again = shlex.quote(str(data.run_dir / "config.yaml")), shlex.quote(f"{data.run_dir}-again")
    steps = [checkout, f"bookswarm train {config} --out {again}", f"bookswarm evaluate {again} --on sim"]
    if _saw_recorded(data):
        steps[-1] += " --on $BOOKSWARM_DATA"
    return "\n".join([*steps, f"bookswarm select {again}"])


def data_used(data: RunData) -> str:
    """Return which data the run has seen, in words."""
    origin = data.provenance or {}
    calibration, digest = origin.get("calibration", "unknown"), str(origin.get("data_digest", ""))
    text = f"Data: trained in markets simulated from the calibration {calibration}"
    text += f" (fitted to data {digest[:12]})" if digest else ""
    return f"{text}; evaluated on {'simulated and recorded' if _saw_recorded(data) else 'simulated'} markets."


def _saw_recorded(data: RunData) -> bool:
    return any(str(row.get("market", "")).startswith("recorded") for row in data.comparison or [])


def learning(data: RunData) -> Section:
    """Draw the population's learning curves."""
    if data.metrics is None or not data.metrics.num_rows:
        reason = data.missing.get("metrics", "metrics.parquet has no rows")
        return Section("learning", "Learning", (missing(f"learning curves: {reason}"),))
    columns = data.metrics.to_pydict()
    by_metric: dict[str, dict[str, list[float]]] = {}
    for index, metric in enumerate(columns["metric"]):
        rows = by_metric.setdefault(metric, {name: [] for name in ("env_steps", *QUANTILES)})
        if all(columns[name][index] is not None for name in rows):
            for name in rows:
                rows[name].append(columns[name][index])
    chosen = sorted((name for name in by_metric if by_metric[name]["env_steps"]), key=_preference)[:MAX_CURVES]
    text = "Each band holds the share of agents it names; hyperparameters differ between agents. "
    text += "The best agent is the one that leads by its recent return at that update."
    note = paragraph(text, "soft")
    return Section("learning", "Learning", (note, *(figures.learning_curve(name, by_metric[name]) for name in chosen)))


def _preference(metric: str) -> tuple[int, str]:
    ranks = [rank for rank, word in enumerate(_PREFERRED) if word in metric.lower()]
    return (min(ranks, default=len(_PREFERRED)), metric)


def comparison(data: RunData) -> Section:
    """Set the ensemble, the agents and the baselines side by side, with confidence intervals."""
    if not data.comparison:
        reason = data.missing.get("comparison", "evaluation/table.json has no rows")
        return Section("comparison", "Comparison", (missing(f"ensemble against baselines: {reason}"),))
    parts: list[Any] = []
    for market in sorted({str(row.get("market", "")) for row in data.comparison}, key=_market_order):
        rows = [row for row in data.comparison if str(row.get("market", "")) == market]
        parts += _market_comparison(market, rows)
    return Section("comparison", "Comparison", tuple(parts))


def _market_order(market: str) -> tuple[bool, bool]:
    return (not market.endswith("test"), not market.startswith("simulated"))  # what was looked at once comes first


def _market_comparison(market: str, rows: list[dict[str, Any]]) -> list[Any]:
    agents = [row for row in rows if row.get("kind") == "agent"]
    shown = [row for row in rows if row.get("kind") != "agent"]
    shown += sorted(agents, key=lambda row: -float(row["mean_pnl"]))[:MAX_AGENTS]
    shown.sort(key=lambda row: -float(row["mean_pnl"]))
    columns = [name for name in _COMPARED if any(row.get(name) is not None for row in shown)]
    cells = [[row["name"], *(row.get(name) for name in columns)] for row in shown]
    chosen = frozenset(i for i, row in enumerate(shown) if row.get("kind") == "ensemble")
    caption = (
        "mean_pnl, ci (95 %, of the mean) and max_drawdown (deepest in an episode) in tick-lots; sharpe per episode"
    )
    parts: list[Any] = [heading(f"Market: {market}"), table(["strategy", *columns], cells, caption, chosen)]
    if len(agents) > MAX_AGENTS:
        note = f"The best {MAX_AGENTS} of {len(agents)} agents are shown: on these episodes they are best by hindsight."
        parts.append(paragraph(note, "soft"))
    with_interval = [row for row in shown if _interval(row)]
    if with_interval:
        low, high = zip(*(_interval(row) for row in with_interval), strict=True)
        names, means = [str(row["name"]) for row in with_interval], [float(row["mean_pnl"]) for row in with_interval]
        parts.append(figures.comparison(f"Mean PnL and its 95 % interval: {market}", names, means, low, high))
    return parts


def _interval(row: Mapping[str, Any]) -> tuple[float, ...]:
    interval = row.get("ci")
    if isinstance(interval, list | tuple) and len(interval) == 2 and None not in interval:
        return tuple(float(bound) for bound in interval)
    return ()


def selection(data: RunData) -> Section:
    """Say how many were tried, what survived, and why."""
    chosen = data.selection
    if chosen is None:
        return Section("selection", "Selection", (missing(f"who was chosen and why: {data.missing['selection']}"),))
    released = bool(chosen.get("released"))
    plain = [(name.replace("_", " "), value) for name, value in chosen.items() if _is_plain(value)]
    parts: list[Any] = [paragraph(_verdict(chosen), "good" if released else "bad"), paragraph(_why(chosen))]
    if data.sharpes is not None and len(data.sharpes):
        marks = {
            name: float(chosen[key])
            for name, key in (("best agent", "best_sharpe"), ("best of as many worthless ones", "expected_best_sharpe"))
            if isinstance(chosen.get(key), int | float)
        }
        title = "Sharpe ratios of all agents on validation episodes"
        parts.append(figures.histogram(title, "Sharpe ratio of an episode", data.sharpes, marks))
    else:
        parts.append(missing(f"the spread over all agents: {data.missing.get('sharpes', 'there are no agents')}"))
    parts.append(facts(plain))
    parts += [part for name, value in chosen.items() if not _is_plain(value) for part in _detail(name, value)]
    return Section("selection", "Selection", tuple(parts))


def _verdict(chosen: Mapping[str, Any]) -> str:
    members = f"{len(chosen.get('members') or [])} agents"
    if chosen.get("released"):
        return f"Released: {members} form the ensemble."
    failed = ", ".join(chosen.get("failed") or []) or "unknown"
    return (
        f"Not released (fell short at: {failed}). {members} were taken all the same; paper accepts them, live does not."
    )


def _why(chosen: Mapping[str, Any]) -> str:
    """Return the procedure's figures as sentences."""
    said = []
    for sentence in _SENTENCES:
        try:
            said.append(sentence.format(**chosen))
        except (KeyError, ValueError, TypeError):
            continue  # a figure that this selection does not have
    return " ".join(said)


def _detail(name: str, value: Any) -> list[Markup]:
    title = heading(name.replace("_", " ").capitalize())
    if isinstance(value, Mapping):
        flat = [(str(key).replace("_", " "), item) for key, item in value.items() if _is_plain(item)]
        return [title, facts(flat)] if flat else []
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        columns = list(dict.fromkeys(key for row in value for key in row))
        return [title, table(columns, [[row.get(key) for key in columns] for row in value])]
    if isinstance(value, list) and value:
        return [title, paragraph(", ".join(str(item) for item in value))]
    return []


def held_out(data: RunData) -> Section:
    """Draw cumulative PnL over held-out episodes, simulated and recorded apart."""
    if data.episodes is None or not data.episodes.num_rows:
        reason = data.missing.get("episodes", "there are no episodes")
        return Section("held-out", "Held-out equity", (missing(f"cumulative PnL: {reason}"),))
    parts: list[Any] = []
    kinds = {str(row["name"]): str(row.get("kind", "")) for row in data.comparison or []}
    for source, totals in episode_totals(data.episodes).items():
        names = _drawn(totals, kinds)
        series = episode_series(data.episodes, source, names)
        parts.append(figures.cumulative_pnl(f"Cumulative PnL, {SOURCES.get(source, source)}", series))
        first = series[names[0]]
        text = (
            f"{names[0]}: {len(first)} episodes, total {np.sum(first):,.1f} tick-lots, deepest fall between episodes "
        )
        text += f"{max_drawdown(first):,.1f}. Band: 5 to 95 % of the curve when its episodes are drawn again."
        parts.append(paragraph(text, "soft"))
        if len(totals) > len(names):
            parts.append(paragraph(f"{len(names)} of {len(totals)} strategies are drawn.", "soft"))
    return Section("held-out", "Held-out equity", tuple(parts))


def _drawn(totals: Mapping[str, float], kinds: Mapping[str, str]) -> list[str]:
    """Return the ensemble, then the best baselines, then the best of the rest, `MAX_LINES` in all."""
    order = {"ensemble": 0, "baseline": 1}
    ranked = sorted(totals, key=lambda name: (order.get(kinds.get(name, ""), 2), -totals[name]))
    baselines = [name for name in ranked if kinds.get(name) == "baseline"]
    return [name for name in ranked if name not in baselines[MAX_BASELINES:]][:MAX_LINES]


def max_drawdown(pnl: np.ndarray) -> float:
    """Return the deepest fall of the cumulative sum below its highest so far (starting at 0), positive."""
    curve = np.concatenate([[0.0], np.cumsum(pnl)])
    return float(np.max(np.maximum.accumulate(curve) - curve))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
