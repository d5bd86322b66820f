"""The world's FCM itself, seen by a plain HTTP client."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from sipis.clock import ManualClock
from sipis.world.behaviour import Reply
from sipis.world.fcm import Fcm
from sipis.world.tls import ThrowawayCa

URL = "/v1/projects/world-project/messages:send"


class Client:
    def __init__(self, session: aiohttp.ClientSession, fcm: Fcm) -> None:
        self.session, self.fcm = session, fcm
        self.token = "none"

    async def send(
        self, message: dict[str, object], *, url: str = URL
    ) -> tuple[int, dict[str, object]]:
        headers = {"authorization": f"Bearer {self.token}"}
        async with self.session.post(
            self.fcm.base_url + url, json={"message": message}, headers=headers
        ) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def fcm() -> AsyncIterator[Fcm]:
    async with Fcm(ThrowawayCa(), clock=ManualClock()) as server:
        yield server


@pytest.fixture
async def client(fcm: Fcm) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(ssl=fcm._ca.client_context())
    async with asyncio.timeout(10), aiohttp.ClientSession(connector=connector) as session:
        fcm.new_key()
        fcm._tokens["good"] = float("inf")
        client = Client(session, fcm)
        client.token = "good"
        yield client


async def test_a_good_message_is_named_and_recorded(fcm: Fcm, client: Client) -> None:
    status, answer = await client.send({"token": "phone", "data": {"sipis": "x"}})
    assert status == 200
    assert str(answer["name"]).startswith("projects/world-project/messages/")
    assert (await fcm.pushes.next()).data == {"sipis": "x"}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"token": "a", "fid": "b"},
        {"token": "a", "data": {"sipis": 1}},
        {"token": "a", "data": {"from": "x"}},
        {"token": "a", "data": {"google.x": "x"}},
        {"token": "a", "data": {"sipis": "x" * 4092}},
    ],
)
async def test_a_message_that_breaks_googles_rules_is_refused(
    client: Client, message: dict[str, object]
) -> None:
    status, answer = await client.send(message)
    assert status == 400
    assert answer["error"]["status"] == "INVALID_ARGUMENT"  # type: ignore[index]


async def test_a_stale_access_token_is_refused(client: Client) -> None:
    client.token = "stale"
    assert (await client.send({"token": "a"}))[0] == 401


async def test_a_project_of_nobody_is_refused(client: Client) -> None:
    url = URL.replace("world-project", "other")
    assert (await client.send({"token": "a"}, url=url))[0] == 403


async def test_a_scripted_error_looks_like_googles(fcm: Fcm, client: Client) -> None:
    fcm.script.add("phone", Reply(404, "UNREGISTERED"))
    status, answer = await client.send({"token": "phone"})
    assert status == 404
    assert answer["error"] == {
        "code": 404,
        "message": "No.",
        "status": "NOT_FOUND",
        "details": [
            {
                "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                "errorCode": "UNREGISTERED",
            }
        ],
    }


async def test_an_assertion_of_nobody_gets_no_token(fcm: Fcm, client: Client) -> None:
    form = {"assertion": "no.such.thing"}
    async with client.session.post(f"{fcm.base_url}/token", data=form) as response:
        assert response.status == 400
        assert await response.json(content_type=None) == {"error": "invalid_grant"}
