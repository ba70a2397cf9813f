"""No byte of an artifact can change unseen."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ensemble.golden import make_golden_check
from protos.artifact import ArtifactError
from protos.artifact.inspect import verify_artifact
from protos.artifact.store import load_artifact
from tests.support.artifacts import write_small_artifact

FILES = ("manifest.json", "weights.safetensors", "golden.npz", "signature")
CHECK = make_golden_check()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("artifact")
    write_small_artifact(root / "artifact", root / "keys")
    load_artifact(root / "artifact", CHECK, root / "keys")
    return root / "artifact", root / "keys"


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(FILES), where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_any_single_changed_byte_of_any_file_is_refused(
    original: tuple[Path, Path], name: str, where: float, mask: int
) -> None:
    artifact, keys_dir = original
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "artifact"
        shutil.copytree(artifact, copy)
        data = bytearray((copy / name).read_bytes())
        data[int(where * len(data))] ^= mask
        (copy / name).write_bytes(data)
        # Without the golden replay: the digests and the signature alone have to see it.
        with pytest.raises(ArtifactError):
            load_artifact(copy, None, keys_dir)
        report = verify_artifact(copy, CHECK, keys_dir)
    assert report["ok"] is False and report["reason"]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(FILES), keep=st.floats(0, 1, exclude_max=True), tail=st.binary(max_size=3))
def test_any_truncated_or_lengthened_file_is_refused(
    original: tuple[Path, Path], name: str, keep: float, tail: bytes
) -> None:
    artifact, keys_dir = original
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "artifact"
        shutil.copytree(artifact, copy)
        data = (copy / name).read_bytes()
        changed = data + tail if tail else data[: int(keep * len(data))]
        (copy / name).write_bytes(changed)
        with pytest.raises(ArtifactError):
            load_artifact(copy, None, keys_dir)
