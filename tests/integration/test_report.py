"""The report: one file that loads nothing, shows what is there and names what is not."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from agents.episodes import Results
from agents.evaluation import Evaluation, write_evaluation
from agents.metrics import MetricsLog
from experiments.report import write_atomically, write_report
from experiments.report_figures import bootstrap_band, thin
from experiments.report_page import number
from experiments.report_sections import max_drawdown
from live_bridge.arrow_export import journal_to_arrow
from live_bridge.journal import JournalReader
from live_bridge.paper import PaperConfig, run_paper
from protos.journal.v1 import journal_pb2 as pb
from tests.support.paper_market import make_market
from tests.support.sessions import JoinBothSides
from warehouse.client import open_warehouse
from warehouse.writer import ingest_folder


class Page(HTMLParser):
    """Collects what a browser would load, and the text that a person reads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.text = ""
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._silent += tag in ("script", "style")
        for name, value in attrs:
            if name in ("src", "data", "poster", "srcset", "action") or (name == "href" and tag != "a"):
                self.loads.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag):
        self._silent -= tag in ("script", "style")

    def handle_data(self, data):
        self.text += "" if self._silent else f" {data}"


def figure_titles(text: str) -> list[str]:
    """Return the titles of the figures in the page's own JSON of them."""
    found = re.findall(r'"name":"Title","id":"[^"]*","attributes":\{"text":"((?:[^"\\]|\\.)*)"', text)
    return [json.loads(f'"{title}"') for title in found]


def write_run(folder: Path) -> None:
    """Write a run's folder with the writers of training and evaluation."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    final = {"recent_return": dict.fromkeys(("q05", "q25", "q50", "q75", "q95", "mean", "best"), 1.0)}
    (folder / "run.json").write_text(
        json.dumps({"run": "swarm-1", "agents": 64, "env_steps": 5_242_880, "final": final})
    )
    origin = {"run_id": "swarm-1", "commit": "0123abc", "calibration": "amzn", "data_digest": "c0ffee"}
    (folder / "provenance.json").write_text(json.dumps(origin))
    (folder / "config.yaml").write_text("num_agents: 64\nnote: <script>alert(1)</script>\n")
    log = MetricsLog(folder)
    for update in range(40):
        spread = {"recent_return": rng.normal(update, 5.0, 64), "entropy": rng.normal(3.0, 0.1, 64)}
        log.add(update, update * 1000, {name: value if update else value * np.nan for name, value in spread.items()})
    log.flush()
    agents = tuple(f"agent_{index:04d}" for index in range(40))
    names = ("ensemble", "avellaneda_stoikov", "do_nothing", *agents)
    kinds = ("ensemble", "baseline", "baseline", *("agent",) * 40)
    means = np.array([4.0, 1.0, 0.0, *rng.normal(2.0, 1.0, 40)])[:, None]
    for source in ("sim", "replay"):
        pnl = rng.normal(means, 10.0, (43, 120)).astype(np.float32) * (means != 0.0)
        counts = np.ones((43, 120), np.int32)
        results = Results(pnl, counts, counts, np.abs(pnl), np.abs(pnl), counts, counts, counts * 0)
        evaluation = Evaluation(source, "test", kinds, names, np.arange(120, dtype=np.uint64), results)
        write_evaluation(folder, evaluation, "swarm-1")
    validation = evaluation._replace(source="sim", split="validation")
    write_evaluation(folder, validation, "swarm-1")
    selection = {
        "released": True,
        "failed": [],
        "trials": 64,
        "effective_trials": 21.4,
        "dsr": 0.973,
        "pbo": 0.11,
        "stepm_survivors": 5,
        "agents": 40,
        "best_sharpe": 0.31,
        "expected_best_sharpe": 0.22,
        "members": [7, 31],
        "member_table": [{"agent": 7, "share": 0.5}, {"agent": 31, "share": 0.5}],
        "holdout": {"looks": 1, "sim_sharpe": 0.21},
    }
    (folder / "selection.json").write_text(json.dumps(selection))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory):
    """A real paper session: its summary, its journals on disk, its rows in a warehouse."""
    folder = tmp_path_factory.mktemp("paper")
    config = PaperConfig(
        folder / "session",
        market=make_market(4_000),
        policy=JoinBothSides(),
        run_id="paper-1",
        fsync="never",
        backend="oracle",
        quote_lots=10,
        inventory_cap_lots=100,
    )
    session = run_paper(config)
    assert session["fills"] > 50
    exported = journal_to_arrow(Path(session["journal"]), folder / "segments", segment_records=500)
    with open_warehouse(folder / "home") as client:
        assert ingest_folder(client, folder / "segments") == exported["rows"]
    return folder, session


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, paper):
    folder = tmp_path_factory.mktemp("report")
    write_run(folder / "run")
    home, session = paper
    result = write_report(folder / "run", session, home / "home", folder / "out" / "report.html")
    return folder, session, result, (folder / "out" / "report.html").read_text()


def test_the_page_loads_nothing_from_anywhere(made):
    _, _, result, text = made
    assert result == {"path": result["path"], "bytes": len(text.encode())}
    page = Page(text)
    assert page.loads == []
    assert not re.search(r"@import|url\((?!['\"]?data:)", text.split("</style>")[0])
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_every_figure_is_in_the_page(made):
    assert figure_titles(made[3]) == [
        "Mean PnL and its 95 % interval: simulated, test",
        "Mean PnL and its 95 % interval: recorded, test",
        "Mean PnL and its 95 % interval: simulated, validation",
        "Cumulative PnL, simulated markets",
        "Cumulative PnL, recorded market",
        "Sharpe ratios of all agents on validation episodes",
        "recent_return",
        "entropy",
        "Quotes and fills",
        "Inventory",
        "PnL after fees, at the mark",
    ]


def test_the_page_says_what_ran_how_to_repeat_it_and_who_was_chosen_why(made):
    text = " ".join(Page(made[3]).text.split())
    run = made[0] / "run"
    for words in (
        f"git checkout 0123abc bookswarm train {run}/config.yaml --out {run}-again",
        "simulated from the calibration amzn (fitted to data c0ffee); evaluated on simulated and recorded markets.",
        "Released: 2 agents form the ensemble.",
        "5 of 40 agents beat doing nothing",
        "64 strategies were tried on this data, ever, worth 21.4 independent ones",
        "above what luck gives so many is 0.973.",
        "in a share of 0.110 of the splits.",
        "agent share 7 0.5 31 0.5",
        "sim sharpe 0.21",
        "avellaneda_stoikov",
        "The best 10 of 40 agents are shown",
        "6 of 43 strategies are drawn.",
        "Journal and venue and warehouse agree to the last unit",
    ):
        assert words in text, words
    assert 'class="missing"' not in made[3]


def test_the_sessions_figures_are_those_of_its_summary(made):
    _, session, _, html = made
    text = " ".join(Page(html).text.split())
    assert f"fills {session['fills']:,}" in text
    for stage, quantiles in session["latency_us"].items():
        assert f"{stage} " + " ".join(number(value) for value in quantiles.values()) in text, stage


def test_the_three_ledgers_on_the_page_are_those_of_python_sums(made):
    _, session, _, html = made
    records = [pb.Record.FromString(frame.payload) for frame in JournalReader(Path(session["journal"])).frames(1)]
    fills = [record.fill for record in records if record.HasField("fill")]
    sign = {pb.SIDE_BUY: 1, pb.SIDE_SELL: -1}
    text = " ".join(Page(html).text.split())
    for name, value in (
        ("fills", len(fills)),
        ("traded_lots", sum(f.lots for f in fills)),
        ("position_lots", sum(sign[f.side] * f.lots for f in fills)),
        ("cash_e8", -sum(sign[f.side] * f.lots * f.price_tick for f in fills) * 10**6),
        ("fees_e8", sum(f.fee_e8 for f in fills)),
    ):
        assert f"{name} {value:,} {value:,} {value:,} yes" in text, name


def test_a_selection_that_nobody_passed_says_so_and_where(made, tmp_path: Path):
    run = tmp_path / "run"
    write_run(run)
    chosen = json.loads((run / "selection.json").read_text())
    (run / "selection.json").write_text(json.dumps(chosen | {"released": False, "failed": ["dsr", "holdout"]}))
    write_report(run, None, None, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "Not released (fell short at: dsr, holdout)" in text
    assert "form the ensemble" not in text


def test_values_from_a_run_are_text_and_never_markup(made):
    assert "<script>alert(1)</script>" not in made[3]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made[3]


def test_a_fill_that_the_warehouse_does_not_have_is_said(made, paper, tmp_path: Path):
    folder, session = paper
    with open_warehouse(tmp_path / "home") as client:
        ingest_folder(client, folder / "segments")
        last = client.command("SELECT max(sequence) FROM fills")
        client.command(f"DELETE FROM fills WHERE sequence = {last}")
    write_report(made[0] / "run", session, tmp_path / "home", tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "The ledgers differ." in text
    assert "agree to the last unit" not in text


def test_an_empty_run_gives_a_page_that_names_what_is_missing(tmp_path: Path):
    (tmp_path / "run").mkdir()
    result = write_report(tmp_path / "run", None, None, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    for file in (
        "run.json",
        "provenance.json",
        "config.yaml",
        "metrics.parquet",
        "evaluation/table.json",
        "selection.json",
    ):
        assert f"{file} is not in" in text, file
    assert "no session was given" in text
    assert result["bytes"] < 20_000  # no figure, so no library


def test_a_run_with_damaged_files_still_gives_a_page(tmp_path: Path):
    run = tmp_path / "run"
    write_run(run)
    (run / "selection.json").write_text("{")
    (run / "metrics.parquet").write_bytes(b"PAR1 nonsense")
    (run / "evaluation" / "table.json").write_text("3")
    write_report(run, {"run_id": "nobody"}, tmp_path / "nohome", tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "selection.json is not JSON" in text
    assert "evaluation/table.json holds no table" in text
    assert "there is no warehouse in" in text


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    target = tmp_path / "report.html"
    write_atomically(target, b"old")
    with pytest.raises(TypeError):
        write_atomically(target, "not bytes")  # pyright: ignore[reportArgumentType]
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_run_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a run's folder"):
        write_report(tmp_path / "nowhere", None, None, tmp_path / "report.html")


def test_the_bootstrap_band_covers_the_end_of_a_random_walk_as_often_as_it_says():
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(200):
        low, high = bootstrap_band(rng.normal(1.0, 3.0, 60), seed=trial, resamples=400)
        inside += low[-1] <= 60.0 <= high[-1]  # the true mean of the sum
    assert 0.84 <= inside / 200 <= 0.95  # nominal 0.90


def test_the_deepest_fall_counts_from_the_start_and_from_every_high():
    assert max_drawdown(np.array([-3.0, 5.0, -1.0, -2.0, 4.0])) == 3.0
    assert max_drawdown(np.array([1.0, 2.0])) == 0.0


@pytest.mark.parametrize("number", [1, 2, 1_999, 2_000, 2_001, 100_003])
def test_thinning_keeps_the_ends_and_the_limit(number: int):
    kept = thin(number)
    assert kept[0] == 0
    assert kept[-1] == number - 1
    assert len(kept) <= 2_001
