"""Ed25519 keys that sign artifacts and the directory of keys that are trusted.

`signing.key` (PKCS8 PEM, mode 0600) is made on first use together with its public half `KEYNAME.pub`; every `*.pub`
in the directory is trusted. To trust another machine's artifacts, copy its `.pub` file here; to stop, delete it.
"""

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from protos.artifact.codec import CodecError, canonical_json, parse_canonical
from protos.artifact.errors import ArtifactError, KeyFileError
from protos.artifact.layout import SIGNATURE_FILE

SIGNING_KEY_FILE: Final = "signing.key"
ALGORITHM: Final = "ed25519"


def default_keys_dir() -> Path:
    """Return $BOOKSWARM_HOME/keys, by default ~/.local/share/bookswarm/keys."""
    home = os.environ.get("BOOKSWARM_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share" / "bookswarm").absolute() / "keys"


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the sha256 of the raw public key, 64 hexadecimal digits."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def load_or_create_signing_key(keys_dir: Path | None = None) -> Ed25519PrivateKey:
    """Return the signing key, made on first use with mode 0600; its public half lands beside it and is trusted.

    Raises KeyFileError if the key file is readable by others or is not an Ed25519 key.
    """
    directory = default_keys_dir() if keys_dir is None else keys_dir
    path = directory / SIGNING_KEY_FILE
    if not path.exists():
        _create_signing_key(directory)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(str(path), f"mode is {mode:04o}, so others can read the signing key; it must be 0600")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(str(path), "is not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(str(path), "is not an Ed25519 key")
    return key


def _create_signing_key(directory: Path) -> None:
    """Write public half, then private half; of two processes that race, the first to link its private key wins."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public_path = directory / f"{fingerprint(key.public_key())[:16]}.pub"
    draft = directory / f".{SIGNING_KEY_FILE}.{secrets.token_hex(8)}"
    _write_exclusive(public_path, public_pem, 0o644)
    _write_exclusive(draft, private_pem, 0o600)
    try:
        os.link(draft, directory / SIGNING_KEY_FILE)
    except FileExistsError:
        public_path.unlink()  # nobody signs with this key
    finally:
        draft.unlink()


def _write_exclusive(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def trusted_keys(keys_dir: Path | None = None) -> dict[str, Ed25519PublicKey]:
    """Return the trusted public keys by fingerprint: every `*.pub` of the directory, none if it does not exist.

    Raises KeyFileError for a `*.pub` that is not an Ed25519 public key: a trust store is not to be half read.
    """
    directory = default_keys_dir() if keys_dir is None else keys_dir
    keys: dict[str, Ed25519PublicKey] = {}
    for path in sorted(directory.glob("*.pub")):
        try:
            key = load_pem_public_key(path.read_bytes())
        except (ValueError, OSError) as error:
            raise KeyFileError(str(path), "is not a PEM public key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFileError(str(path), "is not an Ed25519 key")
        keys[fingerprint(key)] = key
    return keys


def sign(manifest_bytes: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the contents of the signature file for these bytes of manifest.json."""
    return canonical_json(
        {
            "algorithm": ALGORITHM,
            "fingerprint": fingerprint(key.public_key()),
            "signature": key.sign(manifest_bytes).hex(),
        }
    )


def check_signature(manifest_bytes: bytes, signature_bytes: bytes, trusted: dict[str, Ed25519PublicKey]) -> str:
    """Return the fingerprint of the trusted key that signed; raise ArtifactError if none did."""
    signed_by, signature = _read_signature(signature_bytes)
    key = trusted.get(signed_by)
    if key is None:
        raise ArtifactError(SIGNATURE_FILE, f"signed by key {signed_by}, which is not among the {len(trusted)} trusted")
    with contextlib.suppress(InvalidSignature):
        key.verify(signature, manifest_bytes)
        return signed_by
    raise ArtifactError(SIGNATURE_FILE, f"does not match manifest.json for key {signed_by}: one of the two was changed")


def _read_signature(data: bytes) -> tuple[str, bytes]:
    try:
        document = parse_canonical(data)
    except CodecError as error:
        raise ArtifactError(SIGNATURE_FILE, str(error)) from error
    if not isinstance(document, dict) or sorted(document) != ["algorithm", "fingerprint", "signature"]:
        raise ArtifactError(SIGNATURE_FILE, "must hold exactly algorithm, fingerprint and signature")
    if document["algorithm"] != ALGORITHM:
        raise ArtifactError(SIGNATURE_FILE, f"algorithm {document['algorithm']!r} is not {ALGORITHM}")
    try:
        signature = bytes.fromhex(document["signature"])
    except (TypeError, ValueError) as error:
        raise ArtifactError(SIGNATURE_FILE, "signature is not hexadecimal") from error
    if signature.hex() != document["signature"]:
        raise ArtifactError(SIGNATURE_FILE, "signature is not lowercase hexadecimal without spaces")
    return str(document["fingerprint"]), signature
