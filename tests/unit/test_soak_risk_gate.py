"""The gate's soak counts alike whether it runs at once or in parts, and refuses to go on from another one."""

import json

import pytest

from tests.soak_risk_gate import soak


def test_a_soak_in_parts_counts_what_one_at_once_counts(tmp_path):
    path = tmp_path / "soak.json"
    soak(40, 7, path)
    parts, whole = soak(100, 7, path), soak(100, 7, None)
    assert {**parts, "seconds": 0} == {**whole, "seconds": 0}
    assert parts["sequences"] == 100
    assert parts["judged"] == sum(parts["orders"].values()) > parts["accepted"] == parts["orders"]["OK"]
    assert json.loads(path.read_text())["sequences"] == 100
    with pytest.raises(ValueError, match="not the result of a soak from seed 8"):
        soak(100, 8, path)
