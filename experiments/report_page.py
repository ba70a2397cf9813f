"""The report's page: sections of text, tables and figures in one file that needs no network.

Everything that comes from a run is escaped here, so the other report modules never write markup around a value.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from bokeh.embed import components
from bokeh.model import Model
from bokeh.resources import Resources

_TEMPLATE = Path(__file__).parent / "report_template.html"


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


class Section(NamedTuple):
    """One part of the page; figures stand between the texts where they belong."""

    anchor: str
    title: str
    parts: tuple[Markup | Model, ...]


def render_page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the whole page; the figures' library is inside it once."""
    figures = [part for section in sections for part in section.parts if isinstance(part, Model)]
    script, divs = components(figures) if figures else ("", ())
    remaining = iter(divs)
    bodies = [_section(section, remaining) for section in sections]
    library = Resources(mode="inline", components=["bokeh"]).render() if figures else ""
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        contents="".join(f'<a href="#{s.anchor}">{html.escape(s.title)}</a>' for s in sections),
        sections="\n".join(bodies),
        library=library,
        script=script,
    )


def _section(section: Section, divs: Any) -> str:
    body = "\n".join(next(divs) if isinstance(part, Model) else part for part in section.parts)
    return f'<section id="{section.anchor}"><h2>{html.escape(section.title)}</h2>\n{body}\n</section>'


def paragraph(text: str, kind: str = "") -> Markup:
    """Return a paragraph; kinds: soft (a remark), good, bad (a verdict)."""
    return Markup(f"<p{_class(kind)}>{html.escape(text)}</p>")


def heading(text: str) -> Markup:
    """Return a heading inside a section."""
    return Markup(f"<h3>{html.escape(text)}</h3>")


def missing(text: str) -> Markup:
    """Return the note of a part whose input is not there: what it would show and how to get it."""
    return Markup(f'<p class="missing">{html.escape(text)}</p>')


def command(text: str) -> Markup:
    """Return a block to copy."""
    return Markup(f"<pre>{html.escape(text)}</pre>")


def facts(pairs: Sequence[tuple[str, Any]]) -> Markup:
    """Return a list of names and values."""
    inner = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(number(value))}</dd>" for name, value in pairs)
    return Markup(f"<dl>{inner}</dl>")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", chosen: frozenset[int] = frozenset()
) -> Markup:
    """Return a table that scrolls sideways on a narrow screen; rows whose index is in `chosen` stand out."""
    kinds = [_cell_kind(cell) for cell in rows[0]] if rows else [""] * len(columns)
    pairs = zip(columns, kinds, strict=True)
    head = "".join(f"<th{_class(kind if kind == 'text' else '')}>{html.escape(name)}</th>" for name, kind in pairs)
    body = "".join(_row(row, index in chosen) for index, row in enumerate(rows))
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return Markup(
        f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(row: Sequence[Any], is_chosen: bool) -> str:
    cells = "".join(f"<td{_class(_cell_kind(cell))}>{html.escape(number(cell))}</td>" for cell in row)
    return f"<tr{_class('chosen' if is_chosen else '')}>{cells}</tr>"


def _cell_kind(cell: Any) -> str:
    if isinstance(cell, bool):
        return "good" if cell else "bad"
    return "text" if isinstance(cell, str) else ""


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def number(value: Any) -> str:
    """Return a value as a person reads it: integers whole with thin groups, floats with four digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(number(item) for item in value)
    return str(value)
