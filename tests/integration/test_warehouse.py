"""The warehouse on the real embedded engine, against sums made in plain Python."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clickhouse_connect.driver.client import Client

from warehouse.client import mask, open_warehouse
from warehouse.columns import table_columns, table_names
from warehouse.errors import QueryError, WarehouseError
from warehouse.migrate import MIGRATIONS, migrate, read_migrations
from warehouse.reader import load_query, query_names, read_table, run_query
from warehouse.runs import count_trials, ingest_run, log_trials
from warehouse.writer import ingest_folder, ingest_segment, insert_rows

ROOT = Path(__file__).resolve().parents[2]
BUY, SELL = 0, 1
OPEN = "import sys; from warehouse.client import open_warehouse\n"


@pytest.fixture(scope="module", params=["embedded", "server"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """The same tests on the engine in this process and over real HTTP."""
    folder = tmp_path_factory.mktemp("warehouse")
    if request.param == "embedded":
        with open_warehouse(folder) as client:
            yield client
        return
    front = ROOT / "tests" / "support" / "clickhouse_front.py"
    with subprocess.Popen([sys.executable, str(front), str(folder)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            with open_warehouse(f"http://127.0.0.1:{int(server.stdout.readline())}") as client:
                yield client
        finally:
            server.kill()


def random_fills(number: int, seed: int) -> list[dict]:
    draw = random.Random(seed)
    return [
        {
            "trade_id": f"t{i}",
            "client_order_id": f"{i % 37:032x}",
            "side": draw.choice((BUY, SELL)),
            "price_tick": draw.randint(-5, 2**31 - 1),
            "lots": draw.randint(1, 2**31 - 1),
            "fee_e8": draw.randint(-(10**9), 10**12),
            "liquidity": draw.choice(("MAKER", "TAKER")),
            "event_ns": 34_200 * 10**9 + i * 1_000_003,
            "sequence": 10 * i,
        }
        for i in range(number)
    ]


def session(run_id: str) -> dict:
    return {"run_id": run_id, "source": "paper", "strategy": "ensemble", "instrument": "AMZN"}


def as_dicts(answer: tuple) -> list[dict]:
    columns, rows = answer
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_a_session_ledger_in_sql_equals_python_integers_even_beyond_64_bits(store: Client):
    fills = random_fills(2_000, seed=1)
    insert_rows(store, "fills", pa.Table.from_pylist(fills), constants=session("ledger"))

    [ledger] = as_dicts(run_query(store, "session_ledger", {"run_id": "ledger", "tick_value_e8": 1_000_000}))

    sign = {BUY: 1, SELL: -1}
    cash_tick_lots = -sum(sign[f["side"]] * f["lots"] * f["price_tick"] for f in fills)
    assert abs(sum(f["lots"] * f["price_tick"] for f in fills)) > 2**63  # a 64-bit sum would have wrapped
    assert ledger == {
        "instrument": "AMZN",
        "fills": len(fills),
        "traded_lots": sum(f["lots"] for f in fills),
        "position_lots": sum(sign[f["side"]] * f["lots"] for f in fills),
        "cash_tick_lots": cash_tick_lots,
        "cash_e8": cash_tick_lots * 1_000_000,
        "fees_e8": sum(f["fee_e8"] for f in fills),
    }


def test_rows_come_back_as_they_went_in(store: Client):
    fills = random_fills(50, seed=2)
    insert_rows(store, "fills", pa.Table.from_pylist(fills), constants=session("roundtrip"))
    back = read_table(store, "fills", "roundtrip", "paper").to_pylist()
    for sent, stored in zip(fills, back, strict=True):
        assert stored["side"] == ("BUY", "SELL")[sent["side"]]
        assert stored["source"] == "paper"
        assert stored["recv_ns"] == sent["event_ns"]  # its default
        assert {k: stored[k] for k in sent if k != "side"} == {k: v for k, v in sent.items() if k != "side"}


def test_a_batch_that_is_sent_twice_counts_once(store: Client):
    rows = pa.Table.from_pylist(random_fills(100, seed=3))
    assert insert_rows(store, "fills", rows, constants=session("twice")) == 100
    assert insert_rows(store, "fills", rows, constants=session("twice")) == 100
    [summary] = as_dicts(run_query(store, "fills_summary", {"run_id": "twice"}))
    assert summary["fills"] == 100
    assert summary["traded_lots"] == sum(rows["lots"].to_pylist())


def test_a_batch_of_many_blocks_arrives_whole(store: Client):
    number = 300_000
    rows = {
        "sequence": pa.array(range(number)),
        "event_ns": pa.array(range(number)),
        **{name: pa.array([0] * number) for name in ("position_lots", "cash_e8", "fees_e8", "equity_e8")},
        "mark_tick": pa.array(range(number)),
    }
    assert insert_rows(store, "equity", rows, constants=session("blocks")) == number
    total = store.query("SELECT count(), sum(mark_tick) FROM equity WHERE run_id = 'blocks'").result_rows
    assert total == [(number, number * (number - 1) // 2)]


def test_a_newer_evaluation_of_the_same_episode_replaces_the_older_one_and_back_again(store: Client):
    for pnl in (1.0, 2.0, 1.0):
        insert_rows(store, "episodes", episodes("again", "agent", [pnl]))
        [row] = as_dicts(run_query(store, "episode_comparison", {"run_id": "again"}))
        assert (row["episodes"], row["mean_pnl"]) == (1, pnl)


def test_a_segment_is_ingested_once_whatever_its_format(store: Client, tmp_path: Path):
    for i, write in enumerate((write_arrow_file, write_arrow_stream, pq.write_table)):
        rows = pa.Table.from_pylist([fill | session(f"segment{i}") for fill in random_fills(40, seed=4)])
        path = tmp_path / f"fills-{i}.segment"
        write(rows, path)
        first, second = (ingest_segment(store, path, "fills") for _ in range(2))
        assert (first.rows, first.was_known, second.rows, second.was_known) == (40, False, 40, True)
        assert read_table(store, "fills", f"segment{i}").num_rows == 40
        logged = store.query(
            "SELECT run_id, toString(source), rows FROM ingested_segments WHERE digest = {d:String}",
            parameters={"d": first.digest},
        ).result_rows
        assert logged == [(f"segment{i}", "paper", 40)]


def test_a_folder_of_segments_is_ingested_by_file_name(store: Client, tmp_path: Path):
    for part in range(3):
        rows = [
            f | session("folder") | {"sequence": 1_000 * part + i} for i, f in enumerate(random_fills(5, seed=part))
        ]
        write_arrow_file(pa.Table.from_pylist(rows), tmp_path / f"fills-{part:06d}.arrow")
    (tmp_path / "fills-000003.arrow.tmp").write_bytes(b"half written")
    assert ingest_folder(store, tmp_path) == {"fills": 15}
    assert ingest_folder(store, tmp_path) == {"fills": 0}
    assert read_table(store, "fills", "folder").num_rows == 15


def test_a_torn_segment_is_refused_and_not_entered(store: Client, tmp_path: Path):
    path = tmp_path / "fills-0.arrow"
    write_arrow_file(pa.Table.from_pylist([f | session("torn") for f in random_fills(40, seed=5)]), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(WarehouseError, match=r"fills-0\.arrow: not a whole"):
        ingest_segment(store, path, "fills")
    assert read_table(store, "fills", "torn").num_rows == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": ["red"]}, r"unknown column 'colour'; the columns are source, run_id"),
        ({"price_tick": None}, "column 'price_tick' is missing"),
        ({"side": [2]}, "'2' is not one of BUY, SELL"),
        ({"source": ["backtest"]}, "'backtest' is not one of sim, replay, paper, live"),
        ({"lots": [1.5]}, "lots: not int64"),
        ({"sequence": [-1]}, "sequence: not uint64"),
        ({"lots": [None]}, "1 values are null"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(store: Client, change: dict, message: str):
    row = {name: [value] for name, value in (random_fills(1, seed=6)[0] | session("bad")).items()} | change
    with pytest.raises(WarehouseError, match=message):
        insert_rows(store, "fills", {name: values for name, values in row.items() if values is not None})


def test_two_rows_with_one_key_in_a_batch_are_refused_rather_than_merged(store: Client):
    [row] = random_fills(1, seed=7)
    with pytest.raises(WarehouseError, match="1 of 2 rows repeat the key"):
        insert_rows(store, "fills", pa.Table.from_pylist([row, row]), constants=session("repeat"))


def test_an_unknown_table_lists_those_that_exist(store: Client):
    with pytest.raises(WarehouseError, match=r"no table 'candles'; the tables are artifacts, .*orders"):
        insert_rows(store, "candles", {"run_id": ["x"]})


def test_every_table_of_facts_says_its_source_and_run(store: Client):
    for table in table_names(store):
        names = [column.name for column in table_columns(store, table)]
        assert {"source", "run_id"} <= set(names), table


def test_every_query_runs_on_an_empty_answer_and_says_what_it_answers(store: Client):
    assert len(query_names()) >= 10
    for name in query_names():
        query = load_query(name)
        assert query.what, name
        assert query.units, name
        needed = {p.name: "1" for p in query.params.values() if p.default is None}
        columns, _ = run_query(store, name, needed | ({"run_id": "nobody"} if "run_id" in query.params else {}))
        assert columns, name


def test_every_placeholder_of_a_query_is_described_in_its_header_and_the_other_way_round():
    import re

    for name in query_names():
        query = load_query(name)
        used = set(re.findall(r"\{(\w+):(\w+)\}", query.sql))
        assert used == {(p.name, p.type) for p in query.params.values()}, name


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("pnl", {}, r"no query 'pnl'; the queries are .*pnl_by_strategy"),
        ("equity_curve", {"run": "x"}, r"no parameter 'run'; the parameters are run_id \(String\), source"),
        ("equity_curve", {}, "'run_id' .* must be given"),
        ("equity_curve", {"run_id": "x", "points": "many"}, "'points' is 'many', not a whole number"),
        ("equity_curve", {"run_id": "x", "points": -1}, "outside 0"),
    ],
)
def test_a_wrong_query_or_parameter_is_refused_with_the_valid_ones(
    store: Client, name: str, params: dict, message: str
):
    with pytest.raises(QueryError, match=message):
        run_query(store, name, params)


def test_a_parameter_is_a_value_and_never_sql(store: Client):
    insert_rows(store, "episodes", episodes("quoted", "x", [1.0]))
    assert run_query(store, "episode_comparison", {"run_id": "' OR 1 = 1 --"})[1] == []


def episodes(run_id: str, strategy: str, pnl: list[float], source: str = "sim") -> pa.Table:
    return pa.table(
        {
            "run_id": [run_id] * len(pnl),
            "source": [source] * len(pnl),
            "strategy": [strategy] * len(pnl),
            "episode": list(range(len(pnl))),
            "seed": [7] * len(pnl),
            "pnl_tick_lots": pnl,
            "fills": [3] * len(pnl),
            "traded_lots": [5] * len(pnl),
            "max_drawdown": [abs(x) for x in pnl],
            "final_inventory": [-2] * len(pnl),
        }
    )


def test_strategies_are_compared_as_a_textbook_would(store: Client):
    import statistics

    draw = random.Random(8)
    pnl = {name: [draw.gauss(mean, 5.0) for _ in range(200)] for name, mean in (("good", 2.0), ("bad", -1.0))}
    for name, values in pnl.items():
        insert_rows(store, "episodes", episodes("compare", name, values))
    insert_rows(store, "episodes", episodes("compare", "good", [1.0], source="replay"))
    rows = {
        (r["source"], r["strategy"]): r for r in as_dicts(run_query(store, "episode_comparison", {"run_id": "compare"}))
    }
    assert rows["replay", "good"]["sharpe"] is None  # one episode has no deviation
    for name, values in pnl.items():
        row = rows["sim", name]
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        assert row["mean_pnl"] == pytest.approx(mean)
        assert row["sharpe"] == pytest.approx(mean / deviation)
        assert row["standard_error"] == pytest.approx(deviation / 200**0.5)
        assert row["win_rate"] == sum(v > 0 for v in values) / 200
        assert row["worst_drawdown"] == max(map(abs, values))
        assert row["mean_abs_final_inventory"] == 2


def test_orders_are_counted_once_by_their_last_state(store: Client):
    histories = {
        "a": ["SENT", "OPEN", "FILLED"],
        "b": ["SENT", "OPEN", "CANCELED"],
        "c": ["SENT", "REJECTED"],
        "d": ["OPEN"],
    }
    rows = [
        {
            "client_order_id": order,
            "side": BUY,
            "price_tick": 1,
            "lots": 10,
            "status": status,
            "event_ns": 5,
            "sequence": n,
        }
        for order, states in histories.items()
        for n, status in enumerate(states)
    ]
    insert_rows(store, "orders", pa.Table.from_pylist(rows), constants=session("orders"))
    fills = [f | {"client_order_id": "a", "lots": 5} for f in random_fills(2, seed=9)]
    insert_rows(store, "fills", pa.Table.from_pylist(fills), constants=session("orders"))
    [row] = as_dicts(run_query(store, "order_outcomes", {"run_id": "orders"}))
    counts = ("orders", "orders_with_fills", "fully_filled", "canceled", "rejected", "unknown", "working")
    assert [row[name] for name in counts] == [4, 1, 1, 1, 1, 0, 1]
    assert (row["fill_rate"], row["reject_rate"], row["filled_lots_share"]) == (0.25, 0.25, 0.25)


def test_the_equity_curve_keeps_its_end_and_the_drawdown_of_every_row(store: Client):
    draw = random.Random(10)
    equity = [draw.randint(-1000, 1000) for _ in range(1_003)]
    rows = {
        "event_ns": list(range(1_003)),
        "sequence": list(range(1_003)),
        **{name: [0] * 1_003 for name in ("position_lots", "cash_e8", "fees_e8", "mark_tick")},
        "equity_e8": equity,
    }
    insert_rows(store, "equity", rows, constants=session("curve"))
    curve = as_dicts(run_query(store, "equity_curve", {"run_id": "curve", "points": "100"}))
    assert 100 <= len(curve) <= 102
    assert curve[-1]["event_ns"] == 1_002
    for row in curve:
        so_far = equity[: row["event_ns"] + 1]
        assert (row["equity_e8"], row["drawdown_e8"]) == (so_far[-1], max(so_far) - so_far[-1])
    [account] = as_dicts(run_query(store, "pnl_by_strategy", {"run_id": "curve", "source": "paper"}))
    assert (account["equity_e8"], account["fills"]) == (equity[-1], 0)


def test_markouts_weigh_fills_by_lots_against_the_first_mark_at_or_after_the_horizon(store: Client):
    marks = {0: 100, 10: 104, 20: 90}
    insert_rows(
        store,
        "equity",
        {
            "event_ns": list(marks),
            "sequence": list(marks),
            "mark_tick": list(marks.values()),
            **{name: [0] * 3 for name in ("position_lots", "cash_e8", "fees_e8", "equity_e8")},
        },
        constants=session("markouts"),
    )
    fills = [
        {"side": BUY, "price_tick": 99, "lots": 3, "event_ns": 1},  # first mark at or after 6 is 104: +5 a lot
        {"side": SELL, "price_tick": 101, "lots": 1, "event_ns": 5},  # at 10: 104: -3
        {"side": SELL, "price_tick": 101, "lots": 4, "event_ns": 16},  # no mark from 21 on: left out
    ]
    whole = [
        base | fill | {"liquidity": "MAKER", "sequence": n}
        for n, (base, fill) in enumerate(zip(random_fills(3, seed=11), fills, strict=True))
    ]
    insert_rows(store, "fills", pa.Table.from_pylist(whole), constants=session("markouts"))
    [row] = as_dicts(run_query(store, "markouts", {"run_id": "markouts", "horizon_ns": 5}))
    assert (row["fills"], row["lots"]) == (2, 4)
    assert row["markout_tick"] == pytest.approx((3 * 5 + 1 * -3) / 4)


def test_trials_are_counted_over_all_runs_and_repeats_do_not_count(store: Client):
    counts = [
        log_trials(store, "d1", run, names) for run, names in (("r1", ["a", "b"]), ("r2", ["a"]), ("r1", ["a", "b"]))
    ]
    assert counts == [2, 3, 3]
    assert log_trials(store, "d2", "r1", ["a"]) == 1
    assert count_trials(store, "nothing") == 0
    [row] = as_dicts(run_query(store, "trial_count", {"dataset_digest": "d1"}))
    assert (row["trials"], row["runs"]) == (3, 2)
    with pytest.raises(WarehouseError, match="no digest"):
        log_trials(store, "", "r1", ["a"])


def write_run(folder: Path, run_id: str) -> None:
    (folder / "evaluation").mkdir(parents=True)
    metrics = {"update": [1, 2], "env_steps": [10, 20], "metric": ["pnl", "pnl"], "q05": [None, 1.0]}
    metrics |= {name: [1.0, 2.0] for name in ("q25", "q50", "q75", "q95", "mean", "best")}
    pq.write_table(pa.table(metrics), folder / "metrics.parquet")
    pq.write_table(episodes(run_id, "agent_0000", [1.0, 2.0]), folder / "evaluation" / "episodes_sim_test.parquet")
    pq.write_table(episodes(run_id, "agent_0001", [3.0]), folder / "evaluation" / "validation_sim.parquet")
    selection = {
        "trials": 64,
        "effective_trials": 9.5,
        "dsr": 0.97,
        "pbo": 0.1,
        "stepm_survivors": 3,
        "members": [0, 1],
        "released": True,
    }
    (folder / "selection.json").write_text(json.dumps(selection))


def test_a_run_folder_is_ingested_once_and_the_same_bytes_of_another_run_are_another_run(store: Client, tmp_path: Path):
    for run in ("twin-1", "twin-2"):
        write_run(tmp_path / run, run)
        added = ingest_run(store, tmp_path / run, run, dataset_digest="d9")
        assert added == {"population_metrics": 2, "episodes": 3, "selection": 1}
        assert set(ingest_run(store, tmp_path / run, run, dataset_digest="d9").values()) == {0}
        assert read_table(store, "population_metrics", run)["q05"].to_pylist() == [None, 1.0]
        [chosen] = read_table(store, "selection", run).to_pylist()
        assert (chosen["dataset_digest"], chosen["members"], chosen["passed"], chosen["dsr"]) == (
            "d9",
            ["0", "1"],
            True,
            0.97,
        )
    with pytest.raises(WarehouseError, match="nowhere is not a run's folder"):
        ingest_run(store, tmp_path / "nowhere", "x")


def test_the_leaderboard_shows_where_each_population_ended(store: Client):
    for run, last in (("low", 1.0), ("high", 5.0)):
        rows = {"update": [1, 2], "env_steps": [10, 20], "metric": ["board"] * 2}
        rows |= {name: [9.0, last] for name in ("q05", "q25", "q50", "q75", "q95", "mean", "best")}
        insert_rows(store, "population_metrics", rows, constants={"run_id": run, "source": "sim"})
    rows = as_dicts(run_query(store, "population_leaderboard", {"metric": "board"}))
    assert [(r["run_id"], r["last_update"], r["env_steps"], r["median"]) for r in rows] == [
        ("high", 2, 20, 5.0),
        ("low", 2, 20, 1.0),
    ]


def test_migrations_are_applied_once_and_an_edited_one_is_refused(store: Client, tmp_path: Path):
    assert migrate(store) == []
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "0002_research.sql").write_text((MIGRATIONS / "0002_research.sql").read_text() + "-- edited\n")
    with pytest.raises(WarehouseError, match="0002_research was changed after it was applied"):
        migrate(store, tmp_path)
    for path in tmp_path.glob("000[2-9]_*.sql"):
        path.unlink()
    with pytest.raises(WarehouseError, match="applied by a newer bookswarm"):
        migrate(store, tmp_path)
    (tmp_path / "0003_market_data.sql").write_text("SELECT 1")
    with pytest.raises(WarehouseError, match=r"expected a migration named 0002_name\.sql"):
        read_migrations(tmp_path)


def test_the_engine_reads_stored_rows_after_a_restart_and_a_second_process_is_told_who_holds_them(tmp_path: Path):
    script = (
        "import sys; from warehouse.client import open_warehouse; from warehouse.writer import insert_rows\n"
        "client = open_warehouse(sys.argv[1])\n"
        "insert_rows(client, 'trials', dict(dataset_digest=['d'], source=['sim'], run_id=['r'], strategy=['s'], "
        "recorded_ns=[1]))\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    with start(script, str(tmp_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        with start(f"{OPEN}open_warehouse(sys.argv[1])", str(tmp_path), stderr=subprocess.PIPE) as late:
            complaint = late.communicate()[1]
        holder.kill()  # SIGKILL: what was acknowledged must still be there
        holder.wait()
    assert f"WarehouseLockedError: {tmp_path / 'warehouse'} is open in process {holder.pid};" in complaint
    count = f"{OPEN}with open_warehouse(sys.argv[1]) as c: print(c.command('SELECT count() FROM trials'))"
    with start(count, str(tmp_path)) as reader:
        assert reader.communicate()[0] == "1\n"


def test_a_crash_between_the_insert_and_its_entry_does_not_double_a_segment(tmp_path: Path):
    path = tmp_path / "fills-0.arrow"
    write_arrow_file(pa.Table.from_pylist([f | session("crash") for f in random_fills(500, seed=12)]), path)
    crash = (
        "import os, sys, warehouse.writer as w; from warehouse.client import open_warehouse\n"
        "w._mark_ingested = lambda *_: os._exit(9)\n"
        "w.ingest_segment(open_warehouse(sys.argv[1]), sys.argv[2], 'fills')\n"
    )
    retry = (
        "import sys; from warehouse.client import open_warehouse; from warehouse.writer import ingest_segment\n"
        "with open_warehouse(sys.argv[1]) as c:\n"
        "    before = c.command('SELECT count() FROM fills'), c.command('SELECT count() FROM ingested_segments')\n"
        "    first, second = (ingest_segment(c, sys.argv[2], 'fills') for _ in range(2))\n"
        "    print(*before, c.command('SELECT count() FROM fills'), first.was_known, second.was_known)\n"
    )
    with start(crash, str(tmp_path), str(path)) as crashed:
        assert crashed.wait() == 9
    with start(retry, str(tmp_path), str(path)) as retried:
        assert retried.communicate()[0].split() == ["500", "0", "500", "False", "True"]


def test_a_place_that_is_no_warehouse_is_refused_with_a_way_out(tmp_path: Path):
    with pytest.raises(WarehouseError, match=r"there is no warehouse in .*BOOKSWARM_HOME"):
        open_warehouse(tmp_path, create=False)
    (tmp_path / "file").touch()
    with pytest.raises(WarehouseError, match="is a file"):
        open_warehouse(tmp_path / "file")
    with pytest.raises(WarehouseError, match="unknown scheme 'ftp'"):
        open_warehouse("ftp://somewhere")


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(WarehouseError) as caught:
        open_warehouse("http://user:hunter2@127.0.0.1:1/db")
    assert "http://user:***@127.0.0.1:1/db does not answer" in str(caught.value)
    assert mask("http://h:8123") == "http://h:8123"


def write_arrow_file(rows: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(str(path), rows.schema) as file:
        file.write_table(rows)


def write_arrow_stream(rows: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(str(path), rows.schema) as file:
        file.write_table(rows)


def start(script: str, *arguments: str, stderr: int | None = None) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
