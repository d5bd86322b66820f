"""S15: of secrets, app keys and tokens only SHA-256 is kept: who has it all may call nothing.

The thief has every file of the server's folder but the operator's own key files, knows the schema,
and tries each value in each spelling as a bearer of each kind.
"""

import base64
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.world.handset import Handset
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(60)

LONGEST = 512


def files(town: Town) -> dict[str, bytes]:
    """What the server wrote; the token of the admin listener is the operator's own file."""
    folder = town.folder / "server"
    written = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in written if path.name != "admin.token"}


def values(path: Path) -> Iterator[object]:
    """Every value of every table of a database."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_schema")]
        tables = [row[0] for row in database.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'")]  # fmt: skip
        yield from names
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                yield from row
    finally:
        database.close()


def spellings(value: object) -> set[str]:
    """How a value may be written into a header."""
    data = value if isinstance(value, bytes) else str(value).encode()
    parts = {data, data.rstrip(b"\0"), data[:32], data[-32:]}
    texts = {it.hex() for it in parts} | {base64.b64encode(it).decode() for it in parts}
    texts |= {it.decode() for it in parts if it.isascii() and it.decode().isprintable()}
    return {text for text in texts if 0 < len(text) <= LONGEST}


async def secrets_of(town: Town) -> tuple[Handset, list[str]]:
    """A phone that was talked to, and all that opens something here."""
    phone = await town.asleep()
    caller, _ = await town.talk(phone)
    await caller.bye()
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    token = (town.folder / "server" / "admin.token").read_text().strip()
    return phone, [str(phone.instance["secret"]), relay["password"], phone._app_key, token]


async def test_no_secret_is_written_in_any_spelling(town: Town) -> None:
    _, secrets = await secrets_of(town)
    await town.stop()
    for secret in secrets:
        written = [secret.encode(), base64.b64encode(secret.encode())]
        if set(secret) <= set("0123456789abcdef"):
            written += [bytes.fromhex(secret), base64.b64encode(bytes.fromhex(secret))]
        for name, content in files(town).items():
            assert not [it for it in written if it in content], name


async def test_what_is_kept_of_an_instance_secret_is_its_sha256(town: Town) -> None:
    _, secrets = await secrets_of(town)
    await town.stop()
    kept = set(values(town.folder / "server" / "sipis.db"))
    assert hashlib.sha256(secrets[0].encode()).digest() in kept


async def test_a_running_server_holds_its_keys_as_sha256_alone(town: Town) -> None:
    _, (*_, app_key, token) = await secrets_of(town)
    assert town.server is not None
    for key, held in (
        (app_key, town.server._app_keys._keys[0][1]), (token, town.server._admin_token),
    ):  # fmt: skip
        assert held._digest == hashlib.sha256(key.encode()).digest()
        assert key not in repr(vars(held))


async def test_nothing_of_a_stolen_folder_opens_anything(town: Town) -> None:
    phone, _ = await secrets_of(town)
    await town.stop()
    stolen = {value for path in (town.folder / "server").glob("*.db") for value in values(path)}
    stolen |= {content[-64:] for content in files(town).values()}
    tried = {text for value in stolen for text in spellings(value)}
    assert len(tried) > 200
    await town.serve()
    assert town.server is not None
    api, admin = (f"http://127.0.0.1:{port}" for port in (town.server.api_port,
                                                          town.server.admin_port))  # fmt: skip
    calls = (
        ("GET", f"{api}/v1/instances/{phone.instance['instance']}", 404),
        ("POST", f"{api}/v1/instances", 401),
        ("GET", f"{admin}/v1/admin/instances", 401),
    )
    assert phone._http is not None
    for text in tried:
        for method, url, refused in calls:
            headers = {"Authorization": f"Bearer {text}"}
            async with phone._http.request(method, url, json={}, headers=headers) as answer:
                assert answer.status == refused, (method, url)
