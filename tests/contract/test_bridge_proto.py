"""The bridge's API definition: its generated code is current, and it keeps the house's conventions."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from protos.bridge.v1 import bridge_pb2

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "protos/bridge/v1/bridge.proto"
FLOATING = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
UNITS = ("_tick", "_tick_x2", "_lots", "_ns", "_e8", "_step", "_bps")
COUNTS = {
    "epoch", "sequence", "from_sequence", "decisions", "refusals", "unknown_orders", "instrument", "max_open_orders",
    "max_messages", "max_repeats", "request_number", "lots", "value",
}  # fmt: skip


def test_the_generated_code_is_what_the_definition_gives_today(tmp_path: Path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is in the dev extra")
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "pyi")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, SOURCE], cwd=ROOT, check=True)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*"))
    assert len(made) == 3
    for path in made:
        assert (ROOT / path).read_text() == (tmp_path / path).read_text(), f"{path}: regenerate it"


def test_no_field_is_a_floating_number_and_every_number_says_its_unit_or_is_a_count():
    messages = bridge_pb2.DESCRIPTOR.message_types_by_name.values()
    numbers = [
        (message.name, field.name)
        for message in messages
        for field in message.fields
        if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64,
                              FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    ]  # fmt: skip
    assert not [field.full_name for message in messages for field in message.fields if field.type in FLOATING]
    assert len(numbers) > 30
    unnamed = [name for name in numbers if not name[1].endswith(UNITS) and name[1] not in COUNTS]
    assert unnamed == []
