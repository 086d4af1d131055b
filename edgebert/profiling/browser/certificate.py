"""A self-signed certificate, so that a page from this machine is a secure context on a phone.

The phone's browser warns about it once. The certificate is kept in the cache folder, readable by
its owner only, so that the warning does not repeat in every run.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from edgebert.errors import MissingExtraError
from edgebert.system.storage import cache_folder

if TYPE_CHECKING:
    from cryptography import x509

DAYS = 365
LEAST_DAYS_LEFT = 7
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in one PEM file.

    Attributes:
        path: Path of the file.
        fingerprint: SHA-256 of the certificate, in the notation of browsers.
    """

    path: Path
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """The TLS context of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


def find_certificate(address: str, folder: Path | None = None) -> Certificate:
    """The certificate for an address: the existing one, or a new one.

    Args:
        address: IP address of the page.
        folder: Folder of the certificates. None takes edgebert's cache folder.

    Raises:
        MissingExtraError: `cryptography` is not installed.
    """
    folder = cache_folder() / "https" if folder is None else folder
    path = folder / f"{address.replace(':', '_')}.pem"
    if not _lasts(path):
        _write(path, _make(address))
    return Certificate(path, _fingerprint(path))


def _lasts(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        until = _read(path).not_valid_after_utc
    except ValueError:  # another file, or a truncated one
        return False
    left = until - datetime.datetime.now(datetime.UTC)
    return left > datetime.timedelta(days=LEAST_DAYS_LEFT)


def _fingerprint(path: Path) -> str:
    from cryptography.hazmat.primitives import hashes

    return _read(path).fingerprint(hashes.SHA256()).hex(":").upper()


def _read(path: Path) -> x509.Certificate:
    return _x509().load_pem_x509_certificate(path.read_bytes())


def _x509() -> ModuleType:
    try:
        from cryptography import x509
    except ImportError as error:
        raise MissingExtraError(
            "--https makes a certificate with the package 'cryptography', which is not installed. "
            "Next: pip install 'edgebert[https]'"
        ) from error
    return x509


def _make(address: str) -> bytes:
    x509 = _x509()
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"edgebert {address}")])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(usage, False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, data: bytes) -> None:
    """Writes the file. Only its owner can read it at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(PRIVATE_FOLDER)
    part = path.with_suffix(f".{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    part.replace(path)
