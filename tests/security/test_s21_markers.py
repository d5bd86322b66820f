"""S21: what a user trusts us with occurs in no log, metric, page, error or file."""

import io
import json
import re
from collections.abc import Mapping

import pytest

from sipis.sip.flow import Door
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.logs import kept_log
from tests.support.raw import Raw, door_of, request

pytestmark = pytest.mark.timeout(30)

MARKERS = {
    "user": "MarkerUserQx7", "password": "MarkerPassQx7", "display": "MarkerDisplayQx7",
    "token": "MarkerTokenQx7", "caller": "MarkerCallerQx7", "text": "MarkerTextQx7",
    "name": "MarkerNameQx7", "call-id": "MarkerCallIdQx7", "agent": "MarkerAgentQx7",
}  # fmt: skip


@pytest.fixture
def log() -> io.StringIO:
    return kept_log("debug")


async def live(town: Town) -> list[str]:
    """A whole life full of markers; returns the problem documents that came of it."""
    phone = await town.phone(Temper.ANSWER, token=MARKERS["token"])
    user, password = MARKERS["user"], MARKERS["password"]
    account = {
        "aor": town.provider.add(user, password),
        "password": password,
        "registrar": town.provider.address(),
        "display_name": MARKERS["display"],
    }
    problems = [
        (await phone.enable(account | {"registrar": f"sip:{user}@10.0.0.1"})).body,
        (await phone.enable(account | {"display_name": f"{MARKERS['display']}\r\n"})).body,
        (await phone.enable(account | {"expires": password})).body,
        (await phone.enable(account | {password: 1, "aor": password})).body,
        (await phone.http("GET", f"/v1/instances/{user}", bearer=password)).body,
    ]
    await phone.enable(account)
    await town.pushed(phone, "verify")
    await town.provider.registrar.accepted.next()
    caller, _ = await town.talk(phone, user)
    await caller.bye()
    town.provider.call(user, caller=MARKERS["caller"], name=MARKERS["name"],
                       headers=[("User-Agent", MARKERS["agent"])]).cancel()  # fmt: skip
    await town.provider.message(user, MARKERS["text"], caller=MARKERS["caller"])
    with Raw() as scanner:
        assert town.server is not None
        where = door_of(town.server, Door.PROVIDER)
        scanner.send(request("INVITE", f"sip:{user}@x", headers=[("Subject", password)]), where)
        scanner.send(f"{password} {user}\r\n\r\n".encode(), where)
        scanner.send(f"OPTIONS sip:{user}@x SIP/9.9\r\nVia: {password}\r\n\r\n".encode(), where)
        assert (await town.provider.options(user)).status == 200
    return [json.dumps(problem) for problem in problems]


async def pages(town: Town) -> dict[str, str]:
    """What operators see."""
    assert town.server is not None
    phone = await town.phone()
    token = town.settings().admin.token_file
    assert token is not None
    assert phone._http is not None
    headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
    shown = {}
    for path in ("/metrics", "/healthz", "/readyz", "/v1/admin/stats", "/v1/admin/instances"):
        url = f"http://127.0.0.1:{town.server.admin_port}{path}"
        async with phone._http.get(url, headers=headers) as answer:
            assert answer.status == 200, path
            shown[path] = await answer.text()
    return shown


def found(places: Mapping[str, bytes]) -> set[str]:
    """Which marker is where."""
    return {
        f"{marker} in {place}"
        for place, text in places.items()
        for marker, value in MARKERS.items()
        if value.encode() in text
    }


async def test_no_marker_is_shown_or_written_anywhere(town: Town, log: io.StringIO) -> None:
    problems = await live(town)
    shown = {"log": log.getvalue(), "problems": "\n".join(problems), **await pages(town)}
    files = {
        str(path.relative_to(town.folder)): path.read_bytes()
        for path in (town.folder / "server").rglob("*") if path.is_file()
    }  # fmt: skip
    assert files
    assert log.getvalue()
    assert found({place: text.encode() for place, text in shown.items()}) == set()
    assert found(files) == set()


async def test_no_address_of_a_peer_is_logged_and_every_line_is_one_object(
    town: Town, log: io.StringIO
) -> None:
    await live(town)
    await town.stop()
    lines = log.getvalue().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not [line for line in lines if re.search(r"\b127\.\d+\.\d+\.\d+\b|sip:", line)]
