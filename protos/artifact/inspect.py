"""What `bookswarm artifact verify, show, diff` print, as dicts."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from protos.artifact.codec import to_plain
from protos.artifact.errors import ArtifactError, ArtifactNotFoundError, KeyFileError
from protos.artifact.manifest import FeatureSpec
from protos.artifact.store import Artifact, GoldenCheck, load_artifact


def verify_artifact(
    path: Path,
    golden_check: GoldenCheck | None,
    trusted_keys_dir: Path | None = None,
    *,
    features: FeatureSpec | None = None,
    now_ns: int | None = None,
) -> dict[str, Any]:
    """Return {ok, reason, file, artifact, ...}; a damaged artifact is `ok: false` with the reason, not an exception.

    Raises ArtifactNotFoundError if there is no such directory, KeyFileError if the trusted keys cannot be read.
    """
    try:
        artifact = load_artifact(path, golden_check, trusted_keys_dir, features=features, now_ns=now_ns)
    except (ArtifactNotFoundError, KeyFileError):
        raise
    except ArtifactError as error:
        return {"ok": False, "reason": str(error), "file": error.file, "artifact": str(path)}
    return {
        "ok": True,
        "reason": "",
        "artifact": str(path),
        "digest": artifact.digest,
        "signed_by": artifact.signed_by,
        "members": len(artifact.manifest.members),
        "released": artifact.manifest.released,
        "expires_ns": artifact.manifest.expires_ns,
        "golden_max_error": artifact.golden_max_error,
    }


def show_artifact(
    path: Path, golden_check: GoldenCheck | None = None, trusted_keys_dir: Path | None = None
) -> dict[str, Any]:
    """Return verify's fields with the manifest and the tensors' shapes; what fails verification is not shown."""
    result = verify_artifact(path, golden_check, trusted_keys_dir)
    if not result["ok"]:
        return result
    artifact = load_artifact(path, None, trusted_keys_dir)
    tensors = {name: f"{tensor.dtype.name}{list(tensor.shape)}" for name, tensor in sorted(artifact.weights.items())}
    return {**result, "manifest": to_plain(artifact.manifest), "tensors": tensors}


def diff_artifacts(left: Path, right: Path, trusted_keys_dir: Path | None = None) -> dict[str, Any]:
    """Return {ok, reason, differences [{field, a, b}]}; ok means that both verify and have the same contents.

    `ok: false` with an empty list of differences means that one of the two does not verify.
    """
    sides: list[Artifact] = []
    for path in (left, right):
        try:
            sides.append(load_artifact(path, None, trusted_keys_dir, now_ns=0))  # an expired one may be compared
        except (ArtifactNotFoundError, KeyFileError):
            raise
        except ArtifactError as error:
            return {"ok": False, "reason": f"{path}: {error}", "differences": []}
    differences = _field_differences(sides[0], sides[1]) + _tensor_differences(sides[0], sides[1])
    reason = "" if not differences else f"{len(differences)} fields differ, first {differences[0]['field']}"
    return {"ok": not differences, "reason": reason, "differences": differences}


def _field_differences(left: Artifact, right: Artifact) -> list[dict[str, Any]]:
    a, b = (flatten(to_plain(dataclasses.replace(side.manifest, files={}))) for side in (left, right))
    keys = sorted(a.keys() | b.keys())
    return [{"field": key, "a": a.get(key), "b": b.get(key)} for key in keys if a.get(key) != b.get(key)]


def _tensor_differences(left: Artifact, right: Artifact) -> list[dict[str, Any]]:
    rows = []
    for name in sorted(left.weights.keys() | right.weights.keys()):
        a, b = left.weights.get(name), right.weights.get(name)
        if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
            rows.append({"field": f"weights/{name}", "a": _shape_text(a), "b": _shape_text(b)})
        elif not np.array_equal(a, b):
            largest = float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64))))
            rows.append({"field": f"weights/{name}", "a": _shape_text(a), "b": f"differs by up to {largest:.6g}"})
    return rows


def _shape_text(tensor: np.ndarray | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype.name}{list(tensor.shape)}"


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the scalars of a document by path, such as `members[0].weight`."""
    if isinstance(value, dict):
        items = [(f"{prefix}.{key}" if prefix else key, item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(f"{prefix}[{number}]", item) for number, item in enumerate(value)]
    else:
        return {prefix: value}
    return {path: scalar for key, item in items for path, scalar in flatten(item, key).items()}
