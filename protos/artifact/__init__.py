"""The exported ensemble as a directory: manifest, weights, golden vectors, signature. JAX-free; a leaf."""

from protos.artifact.errors import ArtifactError, ArtifactNotFoundError, KeyFileError
from protos.artifact.inspect import diff_artifacts, show_artifact, verify_artifact
from protos.artifact.keys import default_keys_dir, load_or_create_signing_key
from protos.artifact.manifest import SCHEMA_VERSION, Manifest
from protos.artifact.store import Artifact, load_artifact, write_artifact

__all__ = [
    "SCHEMA_VERSION",
    "Artifact",
    "ArtifactError",
    "ArtifactNotFoundError",
    "KeyFileError",
    "Manifest",
    "default_keys_dir",
    "diff_artifacts",
    "load_artifact",
    "load_or_create_signing_key",
    "show_artifact",
    "verify_artifact",
    "write_artifact",
]
