"""The report's figures. Their ground is transparent and their ink readable on dark and light pages alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d, Span
from bokeh.plotting import figure

INK = "#868e9b"
COLOURS = ("#3b82c4", "#d9822b", "#2e9e6b", "#a06cc9", "#d1495b", "#b59a1d", "#4aa3a2", "#9a7b66")
BUY_COLOUR, SELL_COLOUR = "#2e9e6b", "#d1495b"
MAX_POINTS = 2_000


def blank(title: str, x_label: str, y_label: str, height: int = 280, **options: Any) -> Any:
    """Return an empty figure as wide as the page; dragging scrolls the page, so that a phone can pass it."""
    plot: Any = figure(
        title=title,
        height=height,
        sizing_mode="stretch_width",
        tools="box_zoom,reset,save",
        active_drag=None,
        x_axis_label=x_label,
        y_axis_label=y_label,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=INK,
        **options,
    )
    plot.toolbar.logo = None
    plot.title.text_color = INK
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = INK
        axis.major_label_text_color = axis.axis_label_text_color = INK
    plot.grid.grid_line_color = INK
    plot.grid.grid_line_alpha = 0.25
    return plot


def learning_curve(metric: str, rows: Mapping[str, Sequence[float]]) -> Any:
    """Draw one metric of a population: bands of quantiles over the agents, their median and the best agent."""
    plot = blank(metric, "environment steps, all agents", metric)
    steps = list(rows["env_steps"])
    for low, high, alpha in (("q05", "q95", 0.18), ("q25", "q75", 0.3)):
        plot.varea(
            x=steps,
            y1=list(rows[low]),
            y2=list(rows[high]),
            color=COLOURS[0],
            alpha=alpha,
            legend_label=f"{int(low[1:])} to {int(high[1:])} %",
        )
    plot.line(steps, list(rows["q50"]), color=COLOURS[0], width=2, legend_label="median agent")
    plot.line(steps, list(rows["best"]), color=COLOURS[1], width=1.5, legend_label="best agent")
    finish(plot)
    return plot


def comparison(
    title: str, names: Sequence[str], means: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> Any:
    """Draw mean PnL with its confidence interval, one row for each strategy, best on top."""
    order = np.argsort(np.asarray(means))
    labels = [names[i] for i in order]
    plot = blank(title, "mean PnL of an episode, tick-lots", "", height=90 + 26 * len(labels), y_range=labels)
    source = ColumnDataSource(
        {
            "name": labels,
            "mean": [means[i] for i in order],
            "low": [low[i] for i in order],
            "high": [high[i] for i in order],
        }
    )
    plot.add_layout(Span(location=0, dimension="height", line_color=INK, line_dash="dashed"))
    plot.segment("low", "name", "high", "name", source=source, color=COLOURS[0], line_width=3, alpha=0.6)
    dots = plot.scatter("mean", "name", source=source, size=9, color=COLOURS[0])
    plot.add_tools(
        HoverTool(
            renderers=[dots],
            tooltips=[("", "@name"), ("mean", "@mean{0.00}"), ("interval", "@low{0.00} to @high{0.00}")],
        )
    )
    return plot


def cumulative_pnl(title: str, series: Mapping[str, np.ndarray], seed: int = 0) -> Any:
    """Draw cumulative PnL over episodes with the 5 to 95 % band of resampled episodes for the first series.

    The band answers: had these episodes come in other numbers and order, where could the curve have gone?
    """
    plot = blank(title, "held-out episodes", "cumulative PnL, tick-lots", height=320)
    for index, (name, pnl) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        x = thin(len(pnl))
        if index == 0:
            low, high = bootstrap_band(pnl, seed)
            plot.varea(x=x + 1, y1=low[x], y2=high[x], color=colour, alpha=0.2)
        plot.line(x + 1, np.cumsum(pnl)[x], color=colour, width=2.5 if index == 0 else 1.2, legend_label=name)
    plot.add_layout(Span(location=0, dimension="width", line_color=INK, line_dash="dashed"))
    finish(plot)
    return plot


def bootstrap_band(pnl: np.ndarray, seed: int, resamples: int = 1_000) -> tuple[np.ndarray, np.ndarray]:
    """Return the 5 and 95 % quantiles of the cumulative sum of episodes drawn with replacement, float64[E] each."""
    rng = np.random.default_rng(seed)
    paths = np.cumsum(pnl[rng.integers(0, len(pnl), (resamples, len(pnl)))], axis=1)
    low, high = np.quantile(paths, (0.05, 0.95), axis=0)
    return low, high


def quotes(
    seconds: np.ndarray, lines: Mapping[str, np.ndarray], fills: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> Any:
    """Draw the touch, our quotes and our fills against time; NaN is no quote."""
    plot = blank("Quotes and fills", "seconds since the session's start", "price, ticks", height=360)
    x = thin(len(seconds))
    styles = {
        "best bid": (INK, 1.0),
        "best ask": (INK, 1.0),
        "our bid": (BUY_COLOUR, 1.3),
        "our ask": (SELL_COLOUR, 1.3),
    }
    for name, values in lines.items():
        colour, width = styles[name]
        plot.step(seconds[x], values[x], mode="after", color=colour, width=width, alpha=0.8, legend_label=name)
    for name, (when, price) in fills.items():
        marker, colour = ("triangle", BUY_COLOUR) if name == "bought" else ("inverted_triangle", SELL_COLOUR)
        keep = thin(len(when))
        plot.scatter(when[keep], price[keep], marker=marker, size=8, color=colour, legend_label=name)
    finish(plot)
    return plot


def inventory(seconds: np.ndarray, lots: np.ndarray, **shared: Any) -> Any:
    """Draw our inventory; `x_range` ties the time axis to another figure's."""
    return _against_time("Inventory", "lots", seconds, lots, COLOURS[0], shared)


def money(seconds: np.ndarray, amount: np.ndarray, **shared: Any) -> Any:
    """Draw the session's PnL."""
    return _against_time("PnL after fees, at the mark", "quote currency", seconds, amount, COLOURS[1], shared)


def _against_time(
    title: str, unit: str, seconds: np.ndarray, values: np.ndarray, colour: str, shared: Mapping[str, Any]
) -> Any:
    plot = blank(title, "seconds since the session's start", unit, height=220, **shared)
    x = thin(len(seconds))
    plot.step(seconds[x], values[x], mode="after", color=colour, width=1.5)
    plot.add_layout(Span(location=0, dimension="width", line_color=INK, line_dash="dashed"))
    return plot


def histogram(title: str, x_label: str, values: np.ndarray, marks: Mapping[str, float]) -> Any:
    """Draw how a figure is spread over all trials, with named places marked."""
    counts, edges = np.histogram(values, bins=min(40, max(5, len(values) // 4)))
    plot = blank(title, x_label, "trials")
    plot.quad(top=counts, bottom=0, left=edges[:-1], right=edges[1:], color=COLOURS[0], alpha=0.5, line_color=None)
    for index, (name, place) in enumerate(marks.items(), start=1):
        colour = COLOURS[index % len(COLOURS)]
        plot.line([place, place], [0, int(counts.max())], color=colour, width=2, legend_label=name)
    plot.y_range = Range1d(start=0, end=int(counts.max()) * 1.1 + 1)
    finish(plot)
    return plot


def thin(number: int, limit: int = MAX_POINTS) -> np.ndarray:
    """Return at most about `limit` indexes of 0..number-1, evenly spaced, the last one among them."""
    if number <= limit:
        return np.arange(number)
    return np.unique(np.append(np.arange(0, number, -(-number // limit)), number - 1))


def finish(plot: Any) -> None:
    """Put the legend under the figure, where it covers nothing on a narrow screen."""
    legend = plot.legend[0]
    legend.background_fill_alpha = 0.0
    legend.border_line_alpha = 0.0
    legend.label_text_color = INK
    legend.label_text_font_size = "11px"
    legend.click_policy = "hide"
    legend.orientation = "horizontal"
    legend.ncols = 3
    legend.location = "left"
    legend.margin = legend.padding = 2
    plot.add_layout(legend, "below")
