"""S13: whatever text an app sends, one well-formed message leaves, or the text is refused."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from sipis.sip.message import parse_message
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)

HOSTILE = (
    "a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1", "a\r\n\r\nINVITE sip:x SIP/2.0",
    "\x00", "a\x00b", "\x1b[2J", "\x7f", "\x85", "\u2028X-Injected: 1", "\u2029", "\ud800",
    "\udfff\ud800", "\u202e", "\ufeff", "\U0001f4a9", "\u0130", "%0d%0aX-Injected:%201",
    '"><x>', '";x="', "\\", '\\"', "<sip:evil@example.com>", ", <sip:evil@example.com>", ";lr",
    "a" * 5000, " ", "", "\t", "\u3000", "\u00a0", "a\u200db", "\u061c",
)  # fmt: skip
REFUSED = HOSTILE[:13]
"""What no header and no log could ever carry."""


def whole(town: Town, token: str) -> dict[str, Any]:
    """A body with every text field that there is."""
    return {
        "app_id": "demo",
        "account": {
            "aor": town.provider.add("alice", "secret"), "password": "secret",
            "auth_user": "alice", "registrar": town.provider.address(),
            "outbound_proxy": town.provider.address(), "display_name": "Alice",
            "user_agent": "agent/1",
        },
        "targets": [{"provider": "fcm", "kind": "token", "token": token}],
        "push_key": None, "mode": "continuous",
    }  # fmt: skip


def texts(body: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all text fields."""
    if isinstance(body, str):
        yield path
    elif isinstance(body, dict):
        for key, value in body.items():
            yield from texts(value, (*path, key))
    elif isinstance(body, list):
        for number, value in enumerate(body):
            yield from texts(value, (*path, number))


def changed(body: dict[str, Any], path: tuple[str | int, ...], text: str) -> dict[str, Any]:
    result = copy.deepcopy(body)
    place: Any = result
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = place[path[-1]] + text if text else ""
    return result


async def test_every_text_is_refused_or_makes_one_message(empty_town: Town) -> None:
    town = empty_town
    await town.serve(
        api={"requests_per_minute": 1_000_000},
        providers={"127.0.0.1": {"register_per_second": 10_000, "auth_failures_per_hour": 10_000}},
    )
    phone = await town.phone()
    body = whole(town, phone.push_token)
    for path in texts(body):
        for text in HOSTILE:
            answer = await phone.http(
                "POST", "/v1/instances", changed(body, path, text), bearer=phone._app_key
            )
            assert answer.status in (201, 422), (path, text, answer)
            if text in REFUSED:
                assert answer.status == 422, (path, text)
            if answer.status == 422:
                assert str(answer.body["field"]).split(".")[0] == path[0]
    await phone.enable(body["account"])
    await town.provider.registrar.accepted.next()
    for request in town.provider.registrar.requests.items:
        assert "X-Injected" not in request.headers
        again = parse_message(request.to_bytes())
        assert [name for name, _ in again.headers] == [name for name, _ in request.headers]
        assert len(request.headers.get_all("Via")) == 1
        assert len(request.headers.get_all("Content-Length")) == 1


@pytest.mark.parametrize(
    "text", ["\r\nSet-Cookie: a", "\x00", "\ud800", "\u2028" * 300, "", "\x1b[2J"]
)
async def test_every_other_text_of_the_api_is_refused_too(town: Town, text: str) -> None:
    phone = await town.asleep()
    assert (await phone.here("POST", "/verify", {"code": text})).status == 422
    assert (await phone.here("PUT", "", {"push_key": text})).status == 422
    assert (await phone.here("PUT", "", {"mode": text})).status == 422
    assert (
        await phone.here("GET", f"/calls/{text.encode('utf-8', 'replace').hex()}")
    ).status == 404
