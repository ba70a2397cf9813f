"""Small drawings inside the scorecard's table: plain SVG, no library, readable on dark and light pages alike."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.report_figures import COLOURS, INK
from experiments.report_page import Markup

WIDTH, HEIGHT, PAD = 150, 44, 3


def legend(names: Sequence[str]) -> Markup:
    """Return which colour is which market."""
    spots = [f'<span style="color:{INK}">&#9632; recorded (filled)</span>']
    spots += [f'<span style="color:{colour(i)}">&#9632; {html.escape(name)}</span>' for i, name in enumerate(names)]
    return Markup(f'<p class="soft">{" &nbsp; ".join(spots)}</p>')


def colour(index: int) -> str:
    """Return the colour of contender number `index`."""
    return COLOURS[index % len(COLOURS)]


def overlay(recorded: np.ndarray, contenders: Mapping[str, np.ndarray], label: str) -> Markup:
    """Draw shares of the bins: the recorded ones filled, each contender's as a line of steps."""
    top = max(float(np.max(values)) for values in (recorded, *contenders.values())) or 1.0
    area = _steps(recorded, top)
    shapes = [f'<path d="M0 {HEIGHT} L{area} L{WIDTH} {HEIGHT} Z" fill="{INK}" fill-opacity=".35"/>']
    for index, values in enumerate(contenders.values()):
        shapes.append(f'<path d="M{_steps(values, top)}" fill="none" stroke="{colour(index)}" stroke-width="1.2"/>')
    return _svg("".join(shapes), label)


def group_lines(recorded: np.ndarray, contenders: Mapping[str, np.ndarray], label: str) -> Markup:
    """Draw the mean of each group: the recorded ones thick, each contender's thin, dots where there is a value."""
    known = np.concatenate([values[np.isfinite(values)] for values in (recorded, *contenders.values())])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    span = (high - low) or 1.0
    shapes = []
    series = [(recorded, INK, 3.0), *((v, colour(i), 1.2) for i, v in enumerate(contenders.values()))]
    for values, ink, width in series:
        x = PAD + (WIDTH - 2 * PAD) * np.arange(len(values)) / max(len(values) - 1, 1)
        y = HEIGHT - PAD - (HEIGHT - 2 * PAD) * (values - low) / span
        points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
        shapes.append(f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="{width}"/>')
    return _svg("".join(shapes), label)


def _steps(values: np.ndarray, top: float) -> str:
    x = np.linspace(0, WIDTH, len(values) + 1)
    y = HEIGHT - (HEIGHT - PAD) * values / top
    return " ".join(f"{a:.1f} {c:.1f} {b:.1f} {c:.1f}" for a, b, c in zip(x[:-1], x[1:], y, strict=True))


def _svg(shapes: str, label: str) -> Markup:
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" preserveAspectRatio="none"'
    return Markup(f'<svg {box} role="img" aria-label="{html.escape(label)}">{shapes}</svg>')
