"""The risk page's figures: what each method forecast against what came, and where its exceedances lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import Span

from experiments.report_figures import COLOURS, INK, SELL_COLOUR, blank, finish, thin


def forecasts_against_days(
    title: str, dates: Sequence[str], pnl: np.ndarray, forecasts: np.ndarray, hits: np.ndarray
) -> Any:
    """Draw each day's return, minus VaR and minus ES, in percent; every exceedance is drawn, of other days a sample."""
    x, axis = time_axis(dates)
    plot = blank(title, "", "return of a day, %", height=260, **axis)
    keep = thin(len(pnl))
    plot.scatter(x[keep], 100 * pnl[keep], size=2, color=INK, alpha=0.5, legend_label="day")
    for name, column, colour in (("- VaR", 0, COLOURS[0]), ("- ES", 1, COLOURS[3])):
        plot.line(x[keep], -100 * forecasts[keep, column], color=colour, width=1.3, legend_label=name)
    plot.scatter(x[hits], 100 * pnl[hits], size=6, color=SELL_COLOUR, legend_label="exceedance")
    finish(plot)
    return plot


def surplus(dates: Sequence[str], hits: Mapping[str, np.ndarray], tail_frac: float) -> Any:
    """Draw exceedances so far less those expected: level for a right method, steps where they cluster."""
    x, axis = time_axis(dates)
    plot = blank("Exceedances so far, less those expected", "", "exceedances", height=320, **axis)
    for index, (name, found) in enumerate(hits.items()):
        keep = thin(len(found))
        above = np.cumsum(found) - tail_frac * np.arange(1, len(found) + 1)
        plot.line(x[keep], above[keep], color=COLOURS[index % len(COLOURS)], width=1.6, legend_label=name)
    plot.add_layout(Span(location=0, dimension="width", line_color=INK, line_dash="dashed"))
    finish(plot)
    return plot


def time_axis(dates: Sequence[str]) -> tuple[np.ndarray, dict[str, str]]:
    """Return places of the dates and options of the axis: times where they are ISO dates, else their numbers."""
    try:
        return np.array([one.replace(" ", "T") for one in dates], "datetime64[ms]"), {"x_axis_type": "datetime"}
    except ValueError:
        return np.arange(len(dates)), {}
