"""Ed25519 keys in PEM files, and signatures in DSSE envelopes, which say what type of document they are for."""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from msgspec import Struct

from projections.audit.proof import BadProof

MOST_BYTES = 1 << 16  # of a key file


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """A signature: `keyid` is the SHA-256 of the public key's 32 bytes, in hex; `sig` base64."""

    keyid: str
    sig: str


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, rename={"payload_type": "payloadType"}):
    """A signed document (DSSE 1.0.2): `payload` in base64, and who signed it."""

    payload: str
    payload_type: str
    signatures: list[Signature]


def new_key(path: Path) -> tuple[Path, str]:
    """Make a signing key, readable by its owner only, and its public key beside it; returns that path and the key id.

    Raises `BadProof` where either file is there already.
    """
    key = Ed25519PrivateKey.generate()
    public = public_path(path)
    for taken in (path, public):
        if taken.exists():
            raise BadProof(
                f"{taken} is there already and is not replaced: what it signed could not be checked any more"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    written = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write(public, written, 0o644)
    return public, key_id(key.public_key())


def public_path(path: Path) -> Path:
    """Return the path of a signing key's public key: ``signing-key.pem`` -> ``signing-key.pub.pem``."""
    return path.with_name(f"{path.name.removesuffix('.pem')}.pub.pem")


def signing_key(path: Path) -> Ed25519PrivateKey:
    """Return the signing key in a file. Raises `BadProof`."""
    way_out = "`points signing-key new` makes one"
    key = _loaded(path, partial(load_pem_private_key, password=None), f"no signing key ({{}}); {way_out}")
    if not isinstance(key, Ed25519PrivateKey):
        raise BadProof(f"{path}: not an Ed25519 key; {way_out}")
    return key


def verification_key(path: Path) -> Ed25519PublicKey:
    """Return the public key in a file. Raises `BadProof`."""
    key = _loaded(path, load_pem_public_key, "no public key ({}); give the .pub.pem beside the signing key")
    if not isinstance(key, Ed25519PublicKey):
        raise BadProof(f"{path}: not an Ed25519 key")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return how signatures name a key: SHA-256 of its 32 bytes, in hex."""
    return sha256(key.public_bytes_raw()).hexdigest()


def sign(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> Envelope:
    """Sign a document; return its envelope."""
    signature = key.sign(preimage(payload_type, payload))
    signed = Signature(key_id(key.public_key()), b64encode(signature).decode())
    return Envelope(b64encode(payload).decode(), payload_type, [signed])


def payload_of(envelope: Envelope) -> bytes:
    """Return what an envelope holds, not yet believed. Raises ValueError."""
    return _bytes_of(envelope.payload)


def is_signed(envelope: Envelope, key: Ed25519PublicKey) -> bool:
    """Return True if an envelope bears a good signature by a key."""
    wanted = key_id(key)
    try:
        message = preimage(envelope.payload_type, payload_of(envelope))
        for signature in envelope.signatures:
            if signature.keyid == wanted:
                key.verify(_bytes_of(signature.sig), message)
                return True
    except (ValueError, InvalidSignature):
        return False
    return False


def preimage(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _bytes_of(text: str) -> bytes:
    """Return bytes from base64, which has one right form. Raises ValueError."""
    value = b64decode(text, validate=True)
    if b64encode(value).decode() != text:
        raise ValueError("base64 that is not canonical")
    return value


def _write(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _loaded(path: Path, load: Callable[[bytes], object], problem: str) -> object:
    try:
        with path.open("rb") as file:
            return load(file.read(MOST_BYTES))
    except OSError as error:
        raise BadProof(f"{path}: {error.strerror}; `points signing-key new` makes a signing key") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadProof(f"{path}: {problem.format(error)}") from None
