"""The world's APNs itself, seen by the general HTTP/2 library as its client."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamReset

from sipis.clock import ManualClock
from sipis.world.apns import Apns, ApnsMischief
from sipis.world.apns_rules import TokenCheck, wrong_request
from sipis.world.behaviour import EVERYBODY, Farewell, Reply, Reset
from sipis.world.chaos import Chaos
from sipis.world.tls import ThrowawayCa

GOOD = {
    ":method": "POST",
    ":scheme": "https",
    ":authority": "localhost",
    ":path": "/3/device/phone",
    "authorization": "bearer t",
    "apns-topic": "org.example.app.voip",
    "apns-push-type": "voip",
    "apns-id": "00000000-0000-4000-8000-000000000001",
}
BODY = b"{}"


class Client:
    """Pushes one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection()
        self.h2.initiate_connection()

    async def push(self, **changes: str) -> list[Event]:
        """Push and return what happened on the way to an end."""
        stream = self.h2.get_next_available_stream_id()
        headers = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
        self.h2.send_headers(stream, list(headers.items()))
        self.h2.send_data(stream, BODY, end_stream=True)
        happened: list[Event] = []
        while not any(isinstance(each, ENDS) for each in happened):
            self.writer.write(self.h2.data_to_send())
            happened += self.h2.receive_data(await self.reader.read(65_536))
        return happened

    async def status(self, **changes: str) -> tuple[str, bytes]:
        """Push and return status and body."""
        happened = await self.push(**changes)
        (response,) = [each for each in happened if isinstance(each, ResponseReceived)]
        body = b"".join(each.data for each in happened if isinstance(each, DataReceived))
        status = dict(response.headers)[b":status"]
        return status.decode(), body


ENDS = (ResponseReceived, StreamReset, ConnectionTerminated)


@pytest.fixture(scope="session")
def ca() -> ThrowawayCa:
    return ThrowawayCa()


@pytest.fixture
async def apns(ca: ThrowawayCa) -> AsyncIterator[Apns]:
    async with Apns(ca, clock=ManualClock()) as server:
        yield server


@pytest.fixture
async def client(apns: Apns, ca: ThrowawayCa) -> AsyncIterator[Client]:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", apns.port, ssl=ca.client_context(alpn=["h2"])
        )
        yield Client(reader, writer)
        writer.transport.abort()


async def test_a_good_push_is_accepted_and_recorded(apns: Apns, client: Client) -> None:
    assert await client.status() == ("200", b"")
    push = await apns.pushes.next()
    assert (push.token, push.push_id, push.payload) == ("phone", GOOD["apns-id"], {})


async def test_a_scripted_token_gets_its_replies_in_order_and_others_none(
    apns: Apns, client: Client
) -> None:
    apns.script.add("phone", Reply(410, "Unregistered", timestamp=5), Reply(500, "x"))
    assert await client.status() == ("410", b'{"reason": "Unregistered", "timestamp": 5}')
    assert (await client.status())[0] == "500"
    assert (await client.status())[0] == "200"


async def test_a_reset_and_a_farewell_arrive_as_such(apns: Apns, client: Client) -> None:
    apns.script.add(EVERYBODY, Reset(7), Farewell(processed=False))
    (reset,) = [each for each in await client.push() if isinstance(each, StreamReset)]
    assert reset.error_code == 7
    happened = await client.push()
    assert any(isinstance(each, ConnectionTerminated) for each in happened)


async def test_the_dice_fall_the_same_way_for_the_same_seed(ca: ThrowawayCa) -> None:
    rates = dict.fromkeys(ApnsMischief, 0.1)
    one, two = Chaos(7, rates), Chaos(7, rates)
    assert [one.roll() for _ in range(100)] == [two.roll() for _ in range(100)]
    assert "7" in repr(one)
    with pytest.raises(ValueError, match="more than 1"):
        Chaos(1, dict.fromkeys(ApnsMischief, 0.5))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({":method": "GET"}, "MethodNotAllowed"),
        ({":authority": ""}, "BadPath"),
        ({":path": "/2/device/x"}, "BadPath"),
        ({":path": "/3/device/"}, "MissingDeviceToken"),
        ({":path": "/3/device/a b"}, "BadDeviceToken"),
        ({"apns-topic": ""}, "MissingTopic"),
        ({"apns-topic": "org.example.app"}, "BadTopic"),
        ({"apns-push-type": "pigeon"}, "InvalidPushType"),
        ({"apns-push-type": "alert"}, "BadTopic"),
        ({"apns-priority": "7"}, "BadPriority"),
        ({"apns-expiration": "soon"}, "BadExpirationDate"),
        ({"apns-id": "ABC"}, "BadMessageId"),
        ({"apns-collapse-id": "x" * 65}, "BadCollapseId"),
    ],
)
def test_a_request_that_breaks_apples_rules_is_refused(
    changes: dict[str, str], reason: str
) -> None:
    refused = wrong_request({**GOOD, **changes}, BODY)
    assert refused is not None
    assert refused.reason == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "PayloadEmpty"), (b"[]", "PayloadEmpty"), (b" " * 5121, "PayloadTooLarge")],
)
def test_a_body_that_breaks_apples_rules_is_refused(body: bytes, reason: str) -> None:
    refused = wrong_request(GOOD, body)
    assert refused is not None
    assert refused.reason == reason


async def test_a_provider_token_of_nobody_is_refused_once_keys_are_known(
    apns: Apns, client: Client
) -> None:
    apns.new_key()
    assert await client.status() == ("403", b'{"reason": "InvalidProviderToken"}')
    assert await client.status(authorization="") == (
        "403",
        b'{"reason": "MissingProviderToken"}',
    )


async def test_two_tokens_within_twenty_minutes_are_one_too_many(
    apns: Apns, client: Client
) -> None:
    assert (await client.status(authorization="bearer one"))[0] == "200"
    assert (await client.status(authorization="bearer two"))[0] == "429"


def test_a_topic_that_the_keys_may_not_use_is_refused() -> None:
    check = TokenCheck(topics=frozenset({"org.example.other"}))
    assert check.refused(GOOD, 0.0) == Reply(400, "TopicDisallowed")
    allowed = TokenCheck(topics=frozenset({"org.example.app"}))
    assert allowed.refused(GOOD, 0.0) is None
