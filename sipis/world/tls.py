"""A certificate authority that lives as long as the world does.

Refuses to be trusted by anybody who was not handed its root: the key never leaves the process, but
for the moment that the ssl module needs to read it from a file.
"""

import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Checked against the machine's own clock, whatever clock the world runs on.
BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
END: Final = datetime(2049, 12, 31, tzinfo=UTC)


class ThrowawayCa:
    """A root, and server certificates made from it."""

    def __init__(self, name: str = "sipis world") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _builder(self._name, self._name, self._key.public_key())
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = builder.add_extension(constraints, critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(self._subject_key_id(), critical=False)
        self._root = builder.sign(self._key, hashes.SHA256())

    @property
    def root_pem(self) -> bytes:
        """The root certificate, for those who shall trust it."""
        return self._root.public_bytes(Encoding.PEM)

    def write_root(self, directory: Path) -> Path:
        """Write the root where a `ca_file` setting can point at it."""
        path = directory / "world-ca.pem"
        path.write_bytes(self.root_pem)
        return path

    def issue(self, *hosts: str) -> tuple[bytes, bytes]:
        """Return certificate and key in PEM for these host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(hosts[0]), self._name, key.public_key())
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
        )
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._subject_key_id()),
            critical=False,
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), private

    def server_context(self, *hosts: str, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """Return a context for a server of these hosts (default: localhost and 127.0.0.1)."""
        certificate, key = self.issue(*(hosts or ("localhost", "127.0.0.1")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "pair.pem")
            path.touch(mode=0o600)
            path.write_bytes(certificate + key)
            context.load_cert_chain(path)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def client_context(self, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """Return a context that trusts this root alone."""
        context = ssl.create_default_context(cadata=self.root_pem.decode())
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def _subject_key_id(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
