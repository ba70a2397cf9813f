"""The page of a VaR and ES backtest: all methods, passing and failing, in one file that needs no network."""

import html
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments import risk_figures as figures
from experiments.home import git_commit
from experiments.report import write_atomically
from experiments.report_page import Markup, Section, command, facts, number, paragraph, render_page
from experiments.risk_backtest import DOF, SIZE_FRAC, Backtest, exceedances, summary

P_VALUES = ("kupiec_p", "independence_p", "conditional_p")
_SORTING = """<style>.sortable th button { all: unset; cursor: pointer; font-weight: 600; }
.sortable th button:focus-visible { outline: 2px solid currentColor; }
.sortable th[aria-sort=ascending] button::after { content: " \\25B2"; }
.sortable th[aria-sort=descending] button::after { content: " \\25BC"; }</style>
<script>
document.addEventListener("click", (event) => {
  const head = event.target.closest(".sortable th");
  if (!head) return;
  const heads = [...head.parentNode.children], column = heads.indexOf(head);
  const up = head.getAttribute("aria-sort") !== "ascending";
  const body = head.closest("table").tBodies[0];
  const key = (row) => row.cells[column].dataset.key;
  const order = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * order(key(a), key(b)));
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  body.append(...rows);
});
</script>"""
_TESTS = (
    ("Kupiec", "the share of exceedances is the one promised (likelihood ratio, 1 degree of freedom)."),
    ("Independence", "an exceedance is no likelier on the day after one (Christoffersen, first-order Markov chain)."),
    ("Conditional", "both at once (Christoffersen, 2 degrees of freedom)."),
    ("Basel zone", "of the last 250 days: yellow from a binomial probability of 95 %, red from 99.99 %."),
    ("Zones", "the shares of all stretches of 250 days that were green, yellow and red; stretches overlap."),
    (
        "Z1, Z2",
        "Acerbi and Szekely's tests of ES, around 0 for a right method and below where it understates. ES is rejected "
        f"where Z2 is below what {SIZE_FRAC:.0%} of right methods reach under Student's t of {DOF:g} degrees of "
        "freedom, simulated.",
    ),
)


def write_backtest_page(backtest: Backtest, arguments: Sequence[str], out: Path) -> dict[str, Any]:
    """Write the page and return what `risk backtest` prints; `arguments` are the command's, to make it again."""
    told = summary(backtest)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    sections = [_verdict(told), _methods(told), _days(backtest), _tests(), _provenance(told, arguments)]
    title = f"VaR and ES at {told['level_frac']:.2%}, backtested"
    page = render_page(title, f"Page made {made}, commit {git_commit()}", sections)
    return {**told, "path": str(out), "bytes": write_atomically(out, page.encode())}


def _verdict(told: Mapping[str, Any]) -> Section:
    passing, total = told["passing"], len(told["methods"])
    if passing:
        verdict = f"{len(passing)} of {total} methods pass; no test of VaR rejects: {', '.join(passing)}."
    else:
        verdict = f"Not one of {total} methods passes: a test of VaR rejects each, or it refused days."
    parts = [
        paragraph(verdict, _kind(passing)),
        facts(
            [
                ("days judged", told["days"]),
                ("from, to", f"{told['first_date']}, {told['last_date']}"),
                ("assets", told["assets"]),
                ("exceedances expected", told["days"] * (1.0 - told["level_frac"])),
                ("each forecast sees", f"the {told['window_days']} days before it"),
                ("Student t and GARCH fitted anew", f"every {told['refit_days']} days"),
                ("unit", told["unit"]),
                ("size of each test", told["test_size_frac"]),
            ]
        ),
        paragraph(
            "A method passes where it forecast every day and neither Kupiec's nor Christoffersen's tests reject it at "
            "that size. A right method fails one of them now and then; the tests are not corrected for their number.",
            "soft",
        ),
    ]
    return Section("verdict", "Verdict", tuple(parts))


def _kind(good: Any) -> str:
    return "good" if good else "bad"


def _methods(told: Mapping[str, Any]) -> Section:
    rows = sorted(told["methods"], key=lambda row: not row["passes"])
    caption = f"one day ahead, {told['days']:,} days; VaR and ES in % of the portfolio; red: rejected"
    table = sortable_table(_COLUMNS, [_cells(row, told) for row in rows], caption)
    return Section("methods", "All methods", (table, Markup(_SORTING)))


_COLUMNS = (
    *("method", "passes", "exceedances", "expected", "refused days", "Kupiec p", "independence p", "conditional p"),
    *("Basel zone", "in 250", "green %", "yellow %", "red %", "Z1", "Z2", "ES"),
    *("mean VaR %", "mean ES %", "last VaR %", "last ES %"),
)


def _cells(row: Mapping[str, Any], told: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """Return (value, class) of each column."""
    level, zone = told["test_size_frac"], row["zone"]
    tests = [(row[name], "bad" if row[name] is not None and row[name] < level else "") for name in P_VALUES]
    rejected = row["es_rejected"]
    verdict = ("-", "") if rejected is None else ("rejected", "bad") if rejected else ("kept", "good")
    shares = row["zone_frac"] or (None, None, None)
    means = [row[name] for name in ("mean_var_frac", "mean_es_frac", "last_var_frac", "last_es_frac")]
    return [
        (row["method"], ""),
        ("passes" if row["passes"] else "fails", _kind(row["passes"])),
        *((row[name], "") for name in ("exceedances", "expected")),
        (row["refused"], "bad" if row["refused"] else ""),
        *tests,
        (zone or "-", {"green": "good", "red": "bad"}.get(zone or "", "")),
        (row["zone_exceedances"], ""),
        *((None if share is None else 100 * share, "") for share in shares),
        (row["z1"], ""),
        (row["z2"], "bad" if rejected else ""),
        verdict,
        *((None if value is None else 100 * value, "") for value in means),
    ]


def sortable_table(columns: Sequence[str], rows: Sequence[Sequence[tuple[Any, str]]], caption: str) -> Markup:
    """Return a table of (value, class) cells that scrolls sideways, and sorts by the column whose head is pressed."""
    head = "".join(f'<th scope="col"><button type="button">{html.escape(name)}</button></th>' for name in columns)
    body = "".join(f"<tr>{''.join(_cell(value, kind) for value, kind in row)}</tr>" for row in rows)
    return Markup(
        f'<div class="scroll sortable"><table><caption>{html.escape(caption)}; press a head to sort</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any, kind: str) -> str:
    key = "-1e308" if value is None else str(value)
    return f'<td class="{kind}" data-key="{html.escape(key)}">{html.escape(number(value))}</td>'


def _days(backtest: Backtest) -> Section:
    hits = {result.row.method: exceedances(backtest, result) for result in backtest.results}
    parts: list[Any] = [figures.surplus(backtest.dates, hits, backtest.tail_frac)]
    for result in backtest.results:
        name, row = result.row.method, result.row
        verdict = "passes" if row.passes(SIZE_FRAC) else "fails"
        title = f"{name}: {verdict}, {int(hits[name].sum())} exceedances of {row.days:,} days"
        parts.append(figures.forecasts_against_days(title, backtest.dates, backtest.pnl, result.forecasts, hits[name]))
    parts.append(paragraph("Days and lines are thinned to 2,000 points; every exceedance is drawn.", "soft"))
    return Section("days", "Day by day", tuple(parts))


def _tests() -> Section:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in _TESTS)
    source = "Sources: Kupiec (1995); Christoffersen (1998); Basel Committee (1996); Acerbi and Szekely (2014)."
    return Section("tests", "What is tested", (Markup(f"<dl>{rows}</dl>"), paragraph(source, "soft")))


def _provenance(told: Mapping[str, Any], arguments: Sequence[str]) -> Section:
    again = command(shlex.join(["bookswarm", "risk", "backtest", *arguments]))
    return Section("again", "Make it again", (facts([("data", told["data"]), ("held", told["kind"])]), again))
