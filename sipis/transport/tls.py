"""Who a TLS peer is: chains, RFC 5922 identities, pins; and our own certificate for listeners.

A SIP domain is authenticated by the name that was asked for, never by the host that DNS led to.
Wildcards do not match (RFC 5922 7.2). A pin replaces chain and name: it names the one certificate
or key that is accepted. Refuses TLS before 1.2.
"""

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from sipis.errors import ConfigError, RemoteProtocolError, UntrustedPeer
from sipis.sip.uri import SipUri
from sipis.transport.networks import parse_address

PIN_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """How the servers of one provider are recognised."""

    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    pin: str = ""
    """SHA-256, in hex, of the certificate or of its public key (SubjectPublicKeyInfo)."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Our certificate for listeners, and a policy for each provider's domain that needs one."""

    cert_file: Path | None = None
    key_file: Path | None = None
    providers: Mapping[str, TlsPolicy] = field(default_factory=lambda: MappingProxyType({}))


class TlsContexts:
    """Ready-made contexts; each file is read once, and again on reload()."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._server: ssl.SSLContext | None = None
        self._clients: dict[TlsPolicy, ssl.SSLContext] = {}

    def policy(self, provider: str) -> TlsPolicy:
        """The policy of a provider's domain."""
        return self._settings.providers.get(provider.lower(), _DEFAULT)

    def client(self, policy: TlsPolicy) -> ssl.SSLContext:
        """The context for connecting under a policy; ConfigError when it cannot be used."""
        context = self._clients.get(policy)
        if context is None:
            self._clients[policy] = context = _client_context(policy)
        return context

    def server(self) -> ssl.SSLContext:
        """The context of our listeners; ConfigError when the certificate is missing or unusable."""
        if self._server is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._load(context)
            self._server = context
        return self._server

    def reload(self) -> None:
        """Use renewed files from the next handshake on; ConfigError leaves all as it was."""
        if self._server is not None:
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self._server)
        self._clients = {policy: _client_context(policy) for policy in self._clients}

    def _load(self, context: ssl.SSLContext) -> None:
        if self._settings.cert_file is None:
            raise ConfigError("sip.cert_file", "is needed by a tls or wss listener")
        try:
            context.load_cert_chain(self._settings.cert_file, self._settings.key_file)
        except (OSError, ssl.SSLError) as failed:
            raise ConfigError("sip.cert_file", f"cannot be used: {failed.strerror}") from None


_DEFAULT: Final = TlsPolicy()


def verify_peer(tls: ssl.SSLObject, domain: str, policy: TlsPolicy) -> None:
    """Check that the server speaks for the SIP domain; UntrustedPeer when it does not.

    The chain was verified by the handshake, unless the policy has a pin.
    """
    der = tls.getpeercert(binary_form=True)
    if der is None:
        raise UntrustedPeer("the server shows no certificate")
    certificate = x509.load_der_x509_certificate(der)
    if policy.pin:
        if not _is_pinned(certificate, der, policy.pin):
            raise UntrustedPeer("the certificate of the server is not the pinned one")
    elif not speaks_for(certificate, domain):
        raise UntrustedPeer("the certificate of the server names another domain")


def speaks_for(certificate: x509.Certificate, domain: str) -> bool:
    """Whether the certificate holds the SIP domain as an identity (RFC 5922 7.1, 7.2)."""
    wanted = domain.lower().removesuffix(".")
    if parse_address(wanted) is not None:
        return ip_address(wanted) in _addresses(certificate)
    return wanted in sip_identities(certificate)


def sip_identities(certificate: x509.Certificate) -> frozenset[str]:
    """The SIP domains that a certificate names: `sip:` URIs, else DNS names, else its CN."""
    names = _alternative_names(certificate)
    if names is None:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return frozenset(str(name.value).lower() for name in common)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    domains = {domain for uri in uris if (domain := _domain_of(uri))}
    return frozenset(domains or map(str.lower, names.get_values_for_type(x509.DNSName)))


def _domain_of(uri: str) -> str | None:
    """The host of a `sip:` URI without user part; None for any other URI."""
    try:
        parsed = SipUri.parse(uri)
    except RemoteProtocolError:
        return None
    return parsed.host.lower() if parsed.scheme == "sip" and parsed.user is None else None


def _addresses(certificate: x509.Certificate) -> list[object]:
    names = _alternative_names(certificate)
    return list(names.get_values_for_type(x509.IPAddress)) if names is not None else []


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        found = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        ).value
    except x509.ExtensionNotFound:
        return None
    assert isinstance(found, x509.SubjectAlternativeName)
    return found


def _is_pinned(certificate: x509.Certificate, der: bytes, pin: str) -> bool:
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    wanted = _digits(pin)
    return any(
        hmac.compare_digest(hashlib.sha256(shown).hexdigest(), wanted) for shown in (der, key)
    )


def _digits(pin: str) -> str:
    return pin.lower().removeprefix("sha256:").replace(":", "")


def _check_pin(pin: str) -> None:
    digits = _digits(pin)
    if pin and (len(digits) != PIN_DIGITS or set(digits) - set("0123456789abcdef")):
        raise ConfigError("providers.tls_pin", "is not a SHA-256 in hex")


def _client_context(policy: TlsPolicy) -> ssl.SSLContext:
    """Chain verification by OpenSSL; the name is left to verify_peer()."""
    _check_pin(policy.pin)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    if policy.pin:
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if policy.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(policy.ca_file)
    except (OSError, ssl.SSLError) as failed:
        raise ConfigError("providers.ca_file", f"cannot be used: {failed.strerror}") from None
    return context
