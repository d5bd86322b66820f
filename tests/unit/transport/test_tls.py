"""Who a TLS peer is: identities, pins, contexts."""

import hashlib
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sipis.errors import ConfigError
from sipis.transport.tls import (
    TlsContexts,
    TlsPolicy,
    TlsSettings,
    _is_pinned,
    sip_identities,
    speaks_for,
)
from tests.support.transport import Authority

DNS, URI, IP = x509.DNSName, x509.UniformResourceIdentifier, x509.IPAddress


def test_a_dns_name_is_an_identity_whatever_its_case(authority: Authority) -> None:
    certificate = authority.issue(DNS("Example.com")).certificate
    assert speaks_for(certificate, "EXAMPLE.com.")
    assert not speaks_for(certificate, "sip.example.com")


def test_a_sip_uri_goes_before_dns_names(authority: Authority) -> None:
    certificate = authority.issue(DNS("host.example.net"), URI("sip:example.com")).certificate
    assert sip_identities(certificate) == {"example.com"}


@pytest.mark.parametrize(
    "uri", ["sip:bob@example.com", "sips:example.com", "https://example.com", "not a uri"]
)
def test_other_uris_are_no_identities(authority: Authority, uri: str) -> None:
    certificate = authority.issue(URI(uri), DNS("fallback.example")).certificate
    assert sip_identities(certificate) == {"fallback.example"}


def test_wildcards_and_suffixes_match_nothing(authority: Authority) -> None:
    certificate = authority.issue(DNS("*.example.com")).certificate
    for domain in ("sip.example.com", "example.com", ".example.com"):
        assert not speaks_for(certificate, domain)


def test_the_common_name_counts_only_without_alternative_names(authority: Authority) -> None:
    old = authority.issue(common_name="example.com").certificate
    new = authority.issue(DNS("other.example"), common_name="example.com").certificate
    assert speaks_for(old, "example.com")
    assert not speaks_for(new, "example.com")


def test_an_address_is_spoken_for_by_an_address(authority: Authority) -> None:
    by_address = authority.issue(IP(ipaddress.ip_address("127.0.0.1"))).certificate
    by_name = authority.issue(DNS("127.0.0.1")).certificate
    assert speaks_for(by_address, "127.0.0.1")
    assert not speaks_for(by_name, "127.0.0.1")
    assert not speaks_for(authority.issue(common_name="127.0.0.1").certificate, "127.0.0.1")


def test_a_pin_names_a_certificate_or_its_key(authority: Authority) -> None:
    certificate = authority.issue(DNS("example.com")).certificate
    der = certificate.public_bytes(Encoding.DER)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    colons = ":".join(hashlib.sha256(der).hexdigest().upper()[i : i + 2] for i in range(0, 64, 2))
    assert _is_pinned(certificate, der, hashlib.sha256(key).hexdigest())
    assert _is_pinned(certificate, der, f"sha256:{hashlib.sha256(der).hexdigest()}")
    assert _is_pinned(certificate, der, colons)
    assert not _is_pinned(certificate, der, hashlib.sha256(b"other").hexdigest())


def test_a_pin_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError) as wrong:
        TlsContexts(TlsSettings()).client(TlsPolicy(pin="abc"))
    assert wrong.value.key == "providers.tls_pin"


def test_contexts_verify_chains_and_refuse_old_tls(authority: Authority) -> None:
    contexts = TlsContexts(TlsSettings())
    context = contexts.client(TlsPolicy(authority.file))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert contexts.client(TlsPolicy(authority.file)) is context
    assert contexts.client(TlsPolicy()) is not context


def test_a_pinned_provider_needs_no_chain() -> None:
    context = TlsContexts(TlsSettings()).client(TlsPolicy(pin="0" * 64))
    assert context.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_configuration_error(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as wrong:
        TlsContexts(TlsSettings()).client(TlsPolicy(file))
    assert wrong.value.key == "providers.ca_file"


def test_a_listener_needs_a_certificate_that_can_be_used(tmp_path: Path) -> None:
    for settings in (TlsSettings(), TlsSettings(tmp_path / "none.pem")):
        with pytest.raises(ConfigError) as wrong:
            TlsContexts(settings).server()
        assert wrong.value.key == "sip.cert_file"


def test_a_reload_that_fails_changes_nothing(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue(DNS("example.com"))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(issued.cert_file.read_bytes())
    key.write_bytes(issued.key_file.read_bytes())
    contexts = TlsContexts(TlsSettings(cert, key))
    context = contexts.server()
    contexts.reload()
    cert.write_bytes(b"half a file")
    with pytest.raises(ConfigError):
        contexts.reload()
    assert contexts.server() is context


def test_policies_are_found_by_the_domain_in_any_case() -> None:
    policy = TlsPolicy(pin="0" * 64)
    contexts = TlsContexts(TlsSettings(providers={"example.com": policy}))
    assert contexts.policy("Example.COM") == policy
    assert contexts.policy("other.example") == TlsPolicy()
