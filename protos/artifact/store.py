"""Writes an artifact directory whole or not at all, and loads it only if every byte is what was signed."""

import dataclasses
import hashlib
import io
import os
import secrets
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from protos.artifact import keys
from protos.artifact.errors import ArtifactError, ArtifactNotFoundError
from protos.artifact.layout import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MEMBER_WEIGHT_TENSOR,
    OPTIONAL_FILES,
    REQUIRED_FILES,
    SIGNATURE_FILE,
    WEIGHTS_FILE,
)
from protos.artifact.manifest import FeatureSpec, Manifest, NetworkSpec, manifest_from_bytes, manifest_to_bytes

Arrays = dict[str, np.ndarray]
GoldenCheck = Callable[[Arrays, NetworkSpec, Arrays], float]
"""`golden_check(weights, network, golden) -> largest error`; raises ValueError where the replay does not agree."""


class Artifact(NamedTuple):
    """A verified artifact."""

    manifest: Manifest
    weights: Arrays  # tensors of weights.safetensors by name, members stacked on the first axis
    golden: Arrays  # obs float32[G, D], probs float32[G, num_actions], action int32[G], disagreement float32[G]
    digest: str  # sha256 of manifest.json, which covers every other file
    signed_by: str  # fingerprint of the trusted key
    golden_max_error: float | None  # largest difference in the golden replay, None if it was not asked for


def write_artifact(
    directory: Path,
    manifest: Manifest,
    weights: Mapping[str, np.ndarray],
    golden: Mapping[str, np.ndarray],
    signing_key: Ed25519PrivateKey,
    *,
    extra_files: Mapping[str, bytes] | None = None,
    overwrite: bool = False,
) -> str:
    """Write the artifact and return its digest; `manifest.files` is filled in here.

    The files are written beside `directory` and renamed into place, so that it exists whole or not at all.
    `extra_files` may hold policy.stablehlo and policy.onnx. Raises ArtifactError if `directory` exists and `overwrite`
    is false, or if the weights do not fit the manifest.
    """
    directory = directory.absolute()
    if directory.exists() and not overwrite:
        raise ArtifactError(str(directory), "exists already and is not overwritten unless told to")
    contents = _serialise(weights, golden, extra_files or {})
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    complete = dataclasses.replace(manifest, files=digests)
    check_tensors(complete, dict(weights))
    manifest_bytes = manifest_to_bytes(complete)
    contents[MANIFEST_FILE] = manifest_bytes
    contents[SIGNATURE_FILE] = keys.sign(manifest_bytes, signing_key)
    _publish(directory, contents)
    return hashlib.sha256(manifest_bytes).hexdigest()


def _serialise(
    weights: Mapping[str, np.ndarray], golden: Mapping[str, np.ndarray], extra_files: Mapping[str, bytes]
) -> dict[str, bytes]:
    for name in extra_files:
        if name not in OPTIONAL_FILES:
            raise ArtifactError(name, f"is not a file of an artifact; optional are {', '.join(OPTIONAL_FILES)}")
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(golden))
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in weights.items()}
    return {WEIGHTS_FILE: save_safetensors(tensors), GOLDEN_FILE: buffer.getvalue(), **extra_files}


def _publish(directory: Path, contents: Mapping[str, bytes]) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(8)
    draft = directory.parent / f".{directory.name}.{token}.draft"
    retired = directory.parent / f".{directory.name}.{token}.retired"
    try:
        draft.mkdir()
        for name, data in contents.items():
            _write_durably(draft / name, data)
        _sync_directory(draft)
        if directory.exists():
            directory.rename(retired)
        try:
            draft.rename(directory)
        except OSError:
            if retired.exists():
                retired.rename(directory)
            raise
        _sync_directory(directory.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_artifact(
    path: Path,
    golden_check: GoldenCheck | None,
    trusted_keys_dir: Path | None = None,
    *,
    features: FeatureSpec | None = None,
    now_ns: int | None = None,
) -> Artifact:
    """Return the artifact, or raise ArtifactError with the file and the reason; nothing is used unverified.

    Every file is read once, and what was read is what is verified and returned. `features`: the caller's own feature
    table, which must be the artifact's in every name, in order. `now_ns`: event time against which the expiry is judged
    (UTC nanoseconds), by default the wall clock. `golden_check` None leaves the golden vectors unreplayed.
    """
    contents = _read_files(Path(path))
    manifest_bytes = contents[MANIFEST_FILE]
    signed_by = keys.check_signature(manifest_bytes, contents[SIGNATURE_FILE], keys.trusted_keys(trusted_keys_dir))
    manifest = manifest_from_bytes(manifest_bytes)
    _check_digests(manifest, contents)
    check_expiry(manifest, time.time_ns() if now_ns is None else now_ns)
    if features is not None:
        check_features(manifest, features)
    weights = _load_weights(contents[WEIGHTS_FILE])
    check_tensors(manifest, weights)
    golden = _load_golden(contents[GOLDEN_FILE])
    return Artifact(
        manifest=manifest,
        weights=weights,
        golden=golden,
        digest=hashlib.sha256(manifest_bytes).hexdigest(),
        signed_by=signed_by,
        golden_max_error=_replay(golden_check, weights, manifest.network, golden),
    )


def _read_files(path: Path) -> dict[str, bytes]:
    if not path.is_dir():
        raise ArtifactNotFoundError(str(path), "is not an artifact directory")
    known = (MANIFEST_FILE, SIGNATURE_FILE, *REQUIRED_FILES, *OPTIONAL_FILES)
    found: dict[str, bytes] = {}
    for entry in sorted(path.iterdir()):
        if entry.name not in known:
            raise ArtifactError(entry.name, "does not belong to an artifact")
        if entry.is_symlink() or not entry.is_file():
            raise ArtifactError(entry.name, "is not a plain file")
        found[entry.name] = entry.read_bytes()
    for name in (MANIFEST_FILE, SIGNATURE_FILE, *REQUIRED_FILES):
        if name not in found:
            raise ArtifactError(name, "is missing")
    return found


def _check_digests(manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    payload = {name: data for name, data in contents.items() if name not in (MANIFEST_FILE, SIGNATURE_FILE)}
    for name in manifest.files:
        if name not in payload:
            raise ArtifactError(name, "is listed in manifest.json and missing")
    for name, data in payload.items():
        if name not in manifest.files:
            raise ArtifactError(name, "is not listed in manifest.json")
        digest = hashlib.sha256(data).hexdigest()
        if digest != manifest.files[name]:
            raise ArtifactError(name, f"was changed: sha256 {digest}, the manifest says {manifest.files[name]}")


def check_expiry(manifest: Manifest, now_ns: int) -> None:
    """Raise ArtifactError if the artifact has expired at `now_ns` (UTC nanoseconds)."""
    if now_ns >= manifest.expires_ns:
        late_h = (now_ns - manifest.expires_ns) / 3.6e12
        raise ArtifactError(MANIFEST_FILE, f"expired {late_h:.1f} hours ago (expires_ns {manifest.expires_ns})")


def check_features(manifest: Manifest, expected: FeatureSpec) -> None:
    """Raise ArtifactError unless the artifact observes exactly `expected`, in that order."""
    names = manifest.features.names
    for column, (theirs, ours) in enumerate(zip(names, expected.names, strict=False)):
        if theirs != ours:
            raise ArtifactError(MANIFEST_FILE, f"feature {column} is '{theirs}'; this program computes '{ours}' there")
    if len(names) != len(expected.names):
        raise ArtifactError(MANIFEST_FILE, f"has {len(names)} features; this program computes {len(expected.names)}")
    if manifest.features.digest != expected.digest:
        raise ArtifactError(
            MANIFEST_FILE,
            f"feature table digest {manifest.features.digest} is not this program's {expected.digest}: "
            "the names agree, a formula does not",
        )


def _load_weights(data: bytes) -> Arrays:
    try:
        return load_safetensors(data)
    except (SafetensorError, ValueError) as error:
        raise ArtifactError(WEIGHTS_FILE, f"cannot be read: {error}") from error


def _load_golden(data: bytes) -> Arrays:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ArtifactError(GOLDEN_FILE, f"cannot be read: {error}") from error


def check_tensors(manifest: Manifest, weights: Arrays) -> None:
    """Raise ArtifactError unless the tensors are those that the manifest describes: members, shares, normaliser."""
    num_members = len(manifest.members)
    shares = weights.get(MEMBER_WEIGHT_TENSOR)
    if shares is None or shares.dtype != np.float32 or shares.shape != (num_members,):
        raise ArtifactError(WEIGHTS_FILE, f"{MEMBER_WEIGHT_TENSOR} must be float32[{num_members}]")
    if not np.array_equal(shares, np.array([member.weight for member in manifest.members], np.float32)):
        raise ArtifactError(WEIGHTS_FILE, f"{MEMBER_WEIGHT_TENSOR} differs from the members' weights in manifest.json")
    for spec in manifest.normaliser:
        tensor = weights.get(spec.tensor)
        if tensor is None:
            raise ArtifactError(WEIGHTS_FILE, f"tensor '{spec.tensor}' of the normaliser is missing")
        if tensor.dtype.name != spec.dtype or tensor.shape != spec.shape:
            raise ArtifactError(
                WEIGHTS_FILE,
                f"tensor '{spec.tensor}' is {tensor.dtype.name}{list(tensor.shape)}, "
                f"the manifest says {spec.dtype}{list(spec.shape)}",
            )
    for name, tensor in weights.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ArtifactError(WEIGHTS_FILE, f"tensor '{name}' has a value that is not finite")
        if name.startswith("actor/") and tensor.shape[:1] != (num_members,):
            raise ArtifactError(WEIGHTS_FILE, f"tensor '{name}' is not stacked over {num_members} members")


def _replay(check: GoldenCheck | None, weights: Arrays, network: NetworkSpec, golden: Arrays) -> float | None:
    if check is None:
        return None
    try:
        return float(check(weights, network, golden))
    except (ValueError, KeyError) as error:
        raise ArtifactError(GOLDEN_FILE, f"replay does not agree: {error}") from error
