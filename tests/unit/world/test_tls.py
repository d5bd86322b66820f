import asyncio
import ssl
from pathlib import Path

import pytest

from sipis.world.operator_keys import AppleKey, GoogleKey
from sipis.world.silent import SilentDoor
from sipis.world.tls import ThrowawayCa


async def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """Shake hands on loopback and return the protocol agreed on."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=server) as listening:
        port = listening.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname=name
        )
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        writer.transport.abort()
        return tls.selected_alpn_protocol()


async def test_a_certificate_is_good_for_its_names_and_no_other() -> None:
    ca = ThrowawayCa()
    server = ca.server_context("sip.example", alpn=("h2",))
    assert await handshake(server, ca.client_context(alpn=("h2",)), "sip.example") == "h2"
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(server, ca.client_context(), "other.example")


async def test_another_root_does_not_vouch_for_it() -> None:
    server = ThrowawayCa().server_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(server, ThrowawayCa().client_context(), "localhost")


def test_the_root_can_be_written_for_a_ca_file_setting(tmp_path: Path) -> None:
    ca = ThrowawayCa()
    path = ca.write_root(tmp_path)
    ssl.create_default_context(cafile=path)
    assert path.read_bytes() == ca.root_pem


def test_operator_keys_are_written_for_their_owner_alone(tmp_path: Path) -> None:
    for key in (AppleKey(), GoogleKey("https://localhost/token")):
        path = key.write(tmp_path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"PRIVATE KEY" in path.read_bytes()
        assert b"PUBLIC KEY" in key.public_pem


async def test_a_silent_door_accepts_and_says_nothing() -> None:
    async with asyncio.timeout(10), SilentDoor() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        await door.visited.wait()
        assert not reader.at_eof()
        writer.transport.abort()
