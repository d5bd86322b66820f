import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from structlog.testing import capture_logs

from sipis.errors import ConfigError
from sipis.vault import ApnsSigner, ServiceAccountSigner
from sipis.vault.signer import LogSigner, create_log_key, verify_ed25519

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def check(key: ec.EllipticCurvePrivateKey, signature: bytes, message: bytes) -> None:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.public_key().verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def service_account(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return json.dumps(
        {
            "client_email": "push@project",
            "private_key": pem(key).decode(),
            "private_key_id": "k1",
            "project_id": "project",
            "token_uri": "https://oauth.example/token",
        }
    )


def test_apns_signatures_are_es256_in_their_jose_form(tmp_path: Path) -> None:
    key, path = p256(), tmp_path / "key.p8"
    path.write_bytes(pem(key))
    signer = ApnsSigner(path, "ABC1234567")
    signatures = [signer.sign(b"header.claims") for _ in range(40)]
    assert {len(signature) for signature in signatures} == {64}
    for signature in signatures:
        check(key, signature, b"header.claims")
    assert signer.key_id == "ABC1234567"


def test_service_account_signatures_are_rs256(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(service_account(RSA))
    signer = ServiceAccountSigner(path)
    signature = signer.sign(b"header.claims")
    RSA.public_key().verify(signature, b"header.claims", padding.PKCS1v15(), hashes.SHA256())
    assert (signer.key_id, signer.client_email) == ("k1", "push@project")
    assert (signer.project_id, signer.token_uri) == ("project", "https://oauth.example/token")


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    path, fresh = tmp_path / "key.p8", p256()
    path.write_bytes(pem(p256()))
    signer = ApnsSigner(path, "ABC1234567")
    (tmp_path / "next").write_bytes(pem(fresh))
    (tmp_path / "next").rename(path)
    check(fresh, signer.sign(b"m"), b"m")


@pytest.mark.parametrize("content", [b"half a fi", None], ids=["broken", "missing"])
def test_a_file_gone_wrong_leaves_the_key_before_in_use(
    tmp_path: Path, content: bytes | None
) -> None:
    path, key = tmp_path / "key.p8", p256()
    path.write_bytes(pem(key))
    signer = ApnsSigner(path, "ABC1234567")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with capture_logs() as logs:
        check(key, signer.sign(b"m"), b"m")
        check(key, signer.sign(b"m"), b"m")
    assert [entry["event"] for entry in logs] == ["key_file_unreadable"]


@pytest.mark.parametrize(
    "content",
    [b"", b"not a key", pem(RSA), pem(ec.generate_private_key(ec.SECP384R1()))],
    ids=["empty", "text", "rsa", "p384"],
)
def test_only_a_p256_key_is_taken_for_apns(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.p8").write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        ApnsSigner(tmp_path / "key.p8", "ABC1234567")
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", service_account(p256())])
def test_only_a_service_account_is_taken_for_fcm(tmp_path: Path, content: str) -> None:
    (tmp_path / "account.json").write_text(content)
    with pytest.raises(ConfigError):
        ServiceAccountSigner(tmp_path / "account.json")


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.p8"):
        ApnsSigner(tmp_path / "no.p8", "ABC1234567")


class TestLogKey:
    def test_a_new_key_signs_and_is_readable_by_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "log.key"
        create_log_key(path, os.urandom)
        assert path.stat().st_mode & 0o777 == 0o400
        signer = LogSigner(path)
        assert verify_ed25519(signer.public_key, signer.sign(b"text"), b"text")
        assert not verify_ed25519(signer.public_key, signer.sign(b"text"), b"tent")
        assert not verify_ed25519(b"no key", bytes(64), b"text")

    def test_a_key_that_exists_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "log.key"
        create_log_key(path, os.urandom)
        before = path.read_bytes()
        create_log_key(path, os.urandom)
        assert path.read_bytes() == before

    def test_another_key_in_its_file_waits_for_a_start(self, tmp_path: Path) -> None:
        path = tmp_path / "log.key"
        create_log_key(path, os.urandom)
        signer = LogSigner(path)
        before = signer.public_key
        path.unlink()
        create_log_key(path, os.urandom)
        assert signer.public_key == before
        assert LogSigner(path).public_key != before

    def test_a_file_without_an_ed25519_key_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "log.key"
        path.write_text("nothing")
        with pytest.raises(ConfigError, match=r"log\.key"):
            LogSigner(path)


def test_a_key_of_the_log_that_the_disk_did_not_take_is_made_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without a key in it would stop all signatures until somebody removes it."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "log.key"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            create_log_key(path, os.urandom)
    assert not path.exists()
    create_log_key(path, os.urandom)
    assert len(LogSigner(path).public_key) == 32
