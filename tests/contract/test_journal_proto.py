"""The journal's definition: its generated code is current, and its numbers leave room for what comes later."""

import subprocess
import sys
from pathlib import Path

import pytest

from kernels.risk.spec import RiskReason
from live_bridge import types
from live_bridge.records import BODIES, EVENTS
from protos.journal.v1 import journal_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "protos/journal/v1/journal.proto"


def test_the_generated_code_is_what_the_definition_gives_today(tmp_path: Path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is in the dev extra")
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, SOURCE], cwd=ROOT, check=True)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*"))
    assert len(made) == 2
    for path in made:
        assert (ROOT / path).read_text() == (tmp_path / path).read_text(), f"{path}: regenerate it"


def test_events_outputs_and_the_venues_ledger_have_number_ranges_of_their_own():
    numbers = {field.name: field.number for field in pb.Record.DESCRIPTOR.fields}
    for cls, name in BODIES.items():
        low, high = (10, 49) if cls in EVENTS else (50, 89)
        assert low <= numbers.pop(name) <= high, name
    assert all(name.startswith("venue_") and 90 <= number <= 99 for name, number in numbers.items())


def test_enumerations_of_the_definition_and_of_the_bridge_are_the_same():
    pairs = {
        "OrderKind": types.OrderKind,
        "Origin": types.Origin,
        "TradingState": types.TradingState,
        "Phase": types.Phase,
        "OrderState": types.OrderState,
        "Command": types.Command,
        "Liquidity": types.Liquidity,
        "Outcome": types.Outcome,
    }
    for name, ours in pairs.items():
        descriptor = pb.DESCRIPTOR.enum_types_by_name[name]
        prefix = "".join(f"_{c}" if c.isupper() else c for c in name).lstrip("_").upper() + "_"
        theirs = {v.name.removeprefix(prefix): v.number for v in descriptor.values if "UNSPECIFIED" not in v.name}
        assert theirs == {member.name: member.value for member in ours}, name


def test_the_fields_that_every_body_may_have_keep_their_numbers():
    common = {"instrument": 1, "event_ns": 2, "recv_ns": 3, "client_order_id": 4, "venue_order_id": 5, "venue": 6}
    for name in BODIES.values():
        for field in pb.Record.DESCRIPTOR.fields_by_name[name].message_type.fields:
            if name != "session_start" or field.name == "recv_ns":
                assert common.get(field.name, field.number) == field.number, f"{name}.{field.name}"


def test_reasons_are_kept_as_numbers_and_never_change_their_meaning():
    assert [reason.value for reason in types.RefusalReason] == list(range(1, 11))
    names = (
        "OK BAD_INPUT HALTED NOT_TRADABLE INVALID_BOOK STALE_DATA PRICE_STEP LOT_STEP MIN_LOTS MAX_LOTS PRICE_COLLAR "
        "MAX_ORDER_VALUE REDUCE_ONLY MAX_POSITION MAX_OPEN_ORDERS DUPLICATE_INTENT MESSAGE_RATE THROTTLED MIN_NOTIONAL "
        "REFERENCE_COLLAR MAX_ORDER_LOTS LOSS_BUDGET NO_MARK LEVERAGE CONCENTRATION SELF_TRADE REPLACE_TARGET"
    )
    assert [reason.name for reason in sorted(RiskReason)] == names.split()
    assert [reason.value for reason in sorted(RiskReason)] == list(range(27))
