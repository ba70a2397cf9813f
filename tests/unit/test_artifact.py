"""An artifact is written whole, and loads only if every part of it is what was signed."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.ensemble.ensemble import Ensemble
from kernels.ensemble.golden import make_golden_check
from protos.artifact import ArtifactError, ArtifactNotFoundError, KeyFileError, keys
from protos.artifact import manifest as m
from protos.artifact.codec import CodecError, canonical_json, from_plain, parse_canonical, to_plain
from protos.artifact.inspect import diff_artifacts, show_artifact, verify_artifact
from protos.artifact.store import load_artifact, write_artifact
from tests.support.artifacts import (
    FEATURES,
    make_golden,
    make_manifest,
    make_network,
    make_weights,
    write_small_artifact,
)

CHECK = make_golden_check()


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def artifact(tmp_path: Path, keys_dir: Path) -> Path:
    path = tmp_path / "artifact"
    write_small_artifact(path, keys_dir)
    return path


def resign(path: Path, keys_dir: Path, document: dict[str, Any]) -> None:
    """Write a changed manifest with a valid signature: what an honest but different program would have written."""
    data = canonical_json(document)
    (path / "manifest.json").write_bytes(data)
    (path / "signature").write_bytes(keys.sign(data, keys.load_or_create_signing_key(keys_dir)))


def read_manifest(path: Path) -> dict[str, Any]:
    return json.loads((path / "manifest.json").read_bytes())


def test_what_was_written_is_what_is_loaded(artifact: Path, keys_dir: Path) -> None:
    loaded = load_artifact(artifact, CHECK, keys_dir)
    expected = make_weights(make_network(), (0.5, 0.25, 0.25))
    assert all(np.array_equal(loaded.weights[name], tensor) for name, tensor in expected.items())
    assert loaded.manifest == make_manifest(make_network(), (0.5, 0.25, 0.25), files=loaded.manifest.files)
    assert sorted(loaded.manifest.files) == ["golden.npz", "weights.safetensors"]
    assert loaded.golden_max_error is not None and loaded.golden_max_error < 1e-6
    action, probs, _ = Ensemble.from_weights(loaded.weights, loaded.manifest.network).act(loaded.golden["obs"][0])
    assert action == loaded.golden["action"][0]
    assert abs(float(probs.sum()) - 1.0) < 1e-6


def test_the_same_contents_give_the_same_bytes(tmp_path: Path, keys_dir: Path) -> None:
    digests = {write_small_artifact(tmp_path / name, keys_dir) for name in ("a", "b")}
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors", "golden.npz", "signature"])
def test_a_missing_file_is_named(artifact: Path, keys_dir: Path, name: str) -> None:
    (artifact / name).unlink()
    with pytest.raises(ArtifactError, match=f"^{name}: is missing"):
        load_artifact(artifact, CHECK, keys_dir)


@pytest.mark.parametrize("name", ["policy.onnx", "notes.txt", ".hidden"])
def test_an_extra_file_is_named(artifact: Path, keys_dir: Path, name: str) -> None:
    (artifact / name).write_bytes(b"")
    with pytest.raises(ArtifactError, match=f"^{name}: "):
        load_artifact(artifact, CHECK, keys_dir)


def test_a_link_in_place_of_a_file_is_refused(artifact: Path, keys_dir: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    (artifact / "golden.npz").rename(moved)
    (artifact / "golden.npz").symlink_to(moved)
    with pytest.raises(ArtifactError, match=r"^golden.npz: is not a plain file"):
        load_artifact(artifact, CHECK, keys_dir)


def test_an_optional_file_is_covered_by_the_signature(tmp_path: Path, keys_dir: Path) -> None:
    network = make_network()
    weights = make_weights(network, (1.0,))
    manifest = make_manifest(network, (1.0,), normaliser=())
    key = keys.load_or_create_signing_key(keys_dir)
    extra = {"policy.onnx": b"onnx bytes"}
    write_artifact(tmp_path / "a", manifest, weights, make_golden(weights, network), key, extra_files=extra)
    assert "policy.onnx" in load_artifact(tmp_path / "a", CHECK, keys_dir).manifest.files
    (tmp_path / "a" / "policy.onnx").write_bytes(b"onnx bytez")
    with pytest.raises(ArtifactError, match=r"^policy.onnx: was changed"):
        load_artifact(tmp_path / "a", CHECK, keys_dir)
    with pytest.raises(ArtifactError, match=r"^run.sh: is not a file of an artifact"):
        write_artifact(tmp_path / "b", manifest, weights, {}, key, extra_files={"run.sh": b""})


def test_a_newer_schema_is_called_newer(artifact: Path, keys_dir: Path) -> None:
    resign(artifact, keys_dir, {**read_manifest(artifact), "schema_version": 2, "something_new": 1})
    with pytest.raises(ArtifactError, match="schema version 2 is newer than 1"):
        load_artifact(artifact, CHECK, keys_dir)


def test_an_unknown_or_missing_field_is_named(artifact: Path, keys_dir: Path) -> None:
    document = read_manifest(artifact)
    resign(artifact, keys_dir, {**document, "limits": {**document["limits"], "max_inventory": 1}})
    with pytest.raises(ArtifactError, match=r"manifest\.limits\.max_inventory is not a known field"):
        load_artifact(artifact, CHECK, keys_dir)
    resign(artifact, keys_dir, {key: value for key, value in document.items() if key != "released"})
    with pytest.raises(ArtifactError, match=r"manifest\.released is missing"):
        load_artifact(artifact, CHECK, keys_dir)
    resign(artifact, keys_dir, {**document, "released": 1})
    with pytest.raises(ArtifactError, match=r"manifest\.released is int; it must be bool"):
        load_artifact(artifact, CHECK, keys_dir)


def test_another_feature_order_is_refused(artifact: Path, keys_dir: Path) -> None:
    swapped = (FEATURES[1], FEATURES[0], *FEATURES[2:])
    with pytest.raises(ArtifactError, match="feature 0 is 'spread_tick'; this program computes 'imbalance' there"):
        load_artifact(artifact, CHECK, keys_dir, features=m.FeatureSpec(swapped, m.feature_digest(swapped)))
    with pytest.raises(ArtifactError, match="has 3 features; this program computes 2"):
        load_artifact(artifact, CHECK, keys_dir, features=m.FeatureSpec(FEATURES[:2], "0" * 64))
    with pytest.raises(ArtifactError, match="a formula does not"):
        load_artifact(artifact, CHECK, keys_dir, features=m.FeatureSpec(FEATURES, "0" * 64))
    same = m.FeatureSpec(FEATURES, m.feature_digest(FEATURES))
    assert load_artifact(artifact, CHECK, keys_dir, features=same).manifest.features == same


def test_expiry_is_judged_at_the_time_given(tmp_path: Path, keys_dir: Path) -> None:
    write_small_artifact(tmp_path / "a", keys_dir, expires_ns=10_000)
    assert load_artifact(tmp_path / "a", CHECK, keys_dir, now_ns=9_999).manifest.expires_ns == 10_000
    for now_ns in (10_000, None):
        with pytest.raises(ArtifactError, match="expired"):
            load_artifact(tmp_path / "a", CHECK, keys_dir, now_ns=now_ns)


def test_a_signature_by_an_unknown_key_names_its_fingerprint(artifact: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    keys.load_or_create_signing_key(other)
    signed_by = json.loads((artifact / "signature").read_bytes())["fingerprint"]
    with pytest.raises(ArtifactError, match=f"^signature: signed by key {signed_by}, which is not among the 1 trusted"):
        load_artifact(artifact, CHECK, other)


def test_a_trusted_key_copied_over_is_enough_to_verify(artifact: Path, keys_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in keys_dir.glob("*.pub"):
        shutil.copy(path, other)
    assert load_artifact(artifact, CHECK, other).signed_by in keys.trusted_keys(other)
    assert not (other / "signing.key").exists()


def test_a_signature_of_another_manifest_is_refused(artifact: Path, keys_dir: Path, tmp_path: Path) -> None:
    write_small_artifact(tmp_path / "b", keys_dir, name="another")
    shutil.copy(tmp_path / "b" / "signature", artifact / "signature")
    with pytest.raises(ArtifactError, match=r"^signature: does not match manifest.json"):
        load_artifact(artifact, CHECK, keys_dir)


def test_a_signature_in_another_spelling_is_refused(artifact: Path, keys_dir: Path) -> None:
    document = json.loads((artifact / "signature").read_bytes())
    for change, sentence in (
        ({"signature": document["signature"].upper()}, "not lowercase hexadecimal"),
        ({"signature": "no"}, "is not hexadecimal"),
        ({"algorithm": "rsa"}, "algorithm 'rsa' is not ed25519"),
        ({"comment": ""}, "must hold exactly"),
    ):
        (artifact / "signature").write_bytes(canonical_json({**document, **change}))
        with pytest.raises(ArtifactError, match=f"^signature: .*{sentence}"):
            load_artifact(artifact, CHECK, keys_dir)


def test_a_golden_mismatch_is_refused_although_everything_is_signed(tmp_path: Path, keys_dir: Path) -> None:
    network = make_network()
    weights = make_weights(network, (0.5, 0.5))
    golden = make_golden(weights, network)
    manifest = make_manifest(network, (0.5, 0.5), normaliser=())
    key = keys.load_or_create_signing_key(keys_dir)
    golden["probs"][2, 1] += 1e-3
    write_artifact(tmp_path / "a", manifest, weights, golden, key)
    with pytest.raises(ArtifactError, match=r"^golden.npz: replay does not agree: golden vector 2 differs by 0.001"):
        load_artifact(tmp_path / "a", CHECK, keys_dir)
    assert load_artifact(tmp_path / "a", None, keys_dir).golden_max_error is None
    golden = make_golden(weights, network)
    golden["action"][4] = int(np.argmin(golden["probs"][4]))
    write_artifact(tmp_path / "b", manifest, weights, golden, key)
    with pytest.raises(ArtifactError, match="golden vector 4: the golden action"):
        load_artifact(tmp_path / "b", CHECK, keys_dir)


def test_weights_that_do_not_fit_the_manifest_are_not_written(tmp_path: Path, keys_dir: Path) -> None:
    network = make_network()
    key = keys.load_or_create_signing_key(keys_dir)
    manifest = make_manifest(network, (0.5, 0.5), normaliser=())
    weights = make_weights(network, (0.5, 0.5))
    cases: list[tuple[str, dict[str, np.ndarray]]] = [
        ("member_weight must be", {k: v for k, v in weights.items() if k != "member_weight"}),
        ("differs from the members' weights", {**weights, "member_weight": np.array([0.4, 0.6], np.float32)}),
        ("not finite", {**weights, "actor/0/bias": np.full((2, 5), np.nan, np.float32)}),
        ("not stacked over 2", {**weights, "actor/0/bias": np.zeros((3, 5), np.float32)}),
    ]
    for sentence, broken in cases:
        with pytest.raises(ArtifactError, match=sentence):
            write_artifact(tmp_path / "a", manifest, broken, make_golden(weights, network), key)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    described = make_manifest(network, (0.5, 0.5))
    with pytest.raises(ArtifactError, match="tensor 'normaliser/scale' of the normaliser is missing"):
        write_artifact(tmp_path / "a", described, weights, {}, key)


def test_an_existing_artifact_is_kept_unless_told(artifact: Path, keys_dir: Path) -> None:
    before = (artifact / "manifest.json").read_bytes()
    with pytest.raises(ArtifactError, match="exists already"):
        write_small_artifact(artifact, keys_dir, name="second")
    assert (artifact / "manifest.json").read_bytes() == before


def test_a_failed_write_leaves_the_old_artifact_and_no_rest(
    artifact: Path, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network()
    weights = make_weights(network, (1.0,))
    manifest = make_manifest(network, (1.0,), normaliser=(), name="second")
    key = keys.load_or_create_signing_key(keys_dir)
    monkeypatch.setattr(os, "fsync", _full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_artifact(artifact, manifest, weights, make_golden(weights, network), key, overwrite=True)
    monkeypatch.undo()
    assert load_artifact(artifact, CHECK, keys_dir).manifest.name == "test-ensemble"
    assert sorted(path.name for path in artifact.parent.iterdir()) == ["artifact", "keys"]
    write_artifact(artifact, manifest, weights, make_golden(weights, network), key, overwrite=True)
    assert load_artifact(artifact, CHECK, keys_dir).manifest.name == "second"
    assert sorted(path.name for path in artifact.parent.iterdir()) == ["artifact", "keys"]


def _full_disk(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_signing_key_is_made_once_and_kept_private(keys_dir: Path) -> None:
    first = keys.load_or_create_signing_key(keys_dir)
    second = keys.load_or_create_signing_key(keys_dir)
    assert keys.fingerprint(first.public_key()) == keys.fingerprint(second.public_key())
    assert (keys_dir / "signing.key").stat().st_mode & 0o777 == 0o600
    assert list(keys.trusted_keys(keys_dir)) == [keys.fingerprint(first.public_key())]
    assert sorted(path.suffix for path in keys_dir.iterdir()) == [".key", ".pub"]
    (keys_dir / "signing.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="mode is 0640"):
        keys.load_or_create_signing_key(keys_dir)


def test_the_keys_lie_in_the_home_directory(home: Path) -> None:
    keys.load_or_create_signing_key()
    assert (home / "keys" / "signing.key").exists()


def test_a_broken_trust_store_is_not_half_read(artifact: Path, keys_dir: Path) -> None:
    (keys_dir / "broken.pub").write_text("not a key")
    with pytest.raises(KeyFileError, match=r"broken\.pub: is not a PEM public key"):
        load_artifact(artifact, CHECK, keys_dir)


def test_verify_reports_and_does_not_raise(artifact: Path, keys_dir: Path, tmp_path: Path) -> None:
    report = verify_artifact(artifact, CHECK, keys_dir)
    assert report["ok"] and report["reason"] == "" and report["members"] == 3 and report["released"]
    data = bytearray((artifact / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (artifact / "weights.safetensors").write_bytes(data)
    report = verify_artifact(artifact, CHECK, keys_dir)
    assert not report["ok"] and report["reason"].startswith("weights.safetensors: was changed")
    assert show_artifact(artifact, CHECK, keys_dir)["ok"] is False
    with pytest.raises(ArtifactNotFoundError, match="is not an artifact directory"):
        verify_artifact(tmp_path / "nothing", CHECK, keys_dir)


def test_show_prints_the_manifest_and_the_shapes(artifact: Path, keys_dir: Path) -> None:
    shown = show_artifact(artifact, CHECK, keys_dir)
    assert shown["tensors"]["actor/1/kernel"] == "float32[3, 5, 4]"
    assert shown["manifest"]["instruments"][0]["tick_size"] == "0.01"
    json.dumps(shown)


def test_diff_names_what_differs(artifact: Path, keys_dir: Path, tmp_path: Path) -> None:
    write_small_artifact(tmp_path / "same", keys_dir)
    assert diff_artifacts(artifact, tmp_path / "same", keys_dir) == {"ok": True, "reason": "", "differences": []}
    limits = dataclasses.replace(make_manifest(make_network(), (1.0,)).limits, max_inventory_lots=900)
    write_small_artifact(tmp_path / "b", keys_dir, limits=limits)
    assert diff_artifacts(artifact, tmp_path / "b", keys_dir)["differences"] == [
        {"field": "limits.max_inventory_lots", "a": 500, "b": 900}
    ]
    (tmp_path / "b" / "golden.npz").write_bytes(b"")
    broken = diff_artifacts(artifact, tmp_path / "b", keys_dir)
    assert not broken["ok"] and "golden.npz: was changed" in broken["reason"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"members": ()}, "members is empty"),
        ({"members": (m.MemberSpec(0, 0.7, {}),)}, "weights sum to 0.7"),
        ({"instruments": ()}, "instruments is empty"),
        ({"expires_ns": 5}, "expires_ns is not after created_ns"),
        ({"network": m.NetworkSpec("mlp", (4,), "tanh", 3, 5)}, "num_actions 5 but action.table has 4 rows"),
        ({"network": m.NetworkSpec("mlp", (4,), "tanh", 2, 4)}, "observation_dim 2 but features.names has 3"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_not_made(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(make_manifest(make_network(), (1.0,)), **change)


def test_the_manifest_has_room_for_what_comes_later() -> None:
    gates = (m.GateSpec("calm", (0.5, 0.5)), m.GateSpec("wild", (1.0, 0.0)))
    later = make_manifest(
        m.NetworkSpec("gru", (8,), "tanh", 3, 4),
        (0.5, 0.5),
        instruments=tuple(m.InstrumentSpec(name, "0.01", "1", "USD") for name in ("AMZN", "AAPL")),
        ensemble=m.EnsembleSpec(m.MEAN_PROBABILITY_ARGMAX, 0.5, gates),
    )
    assert m.manifest_from_bytes(m.manifest_to_bytes(later)) == later


def test_only_canonical_json_is_read() -> None:
    assert parse_canonical(canonical_json({"b": 1, "a": [1.5, None]})) == {"a": [1.5, None], "b": 1}
    for data in (b'{"a": 1}\n', b'{"a":1}', b'{"a":1,"a":1}\n', b'{"a":NaN}\n', b"\xff", b'{"b":1,"a":1}\n'):
        with pytest.raises(CodecError, match="not canonical JSON"):
            parse_canonical(data)


def test_the_codec_never_coerces() -> None:
    spec = m.TimingSpec(20, 0, 5)
    assert from_plain(m.TimingSpec, to_plain(spec), "timing") == spec
    for value, sentence in (("20", "is str; it must be int"), (True, "is bool; it must be int"), (1.0, "is float")):
        with pytest.raises(CodecError, match=f"timing.horizon_events {sentence}"):
            from_plain(m.TimingSpec, {**to_plain(spec), "horizon_events": value}, "timing")
