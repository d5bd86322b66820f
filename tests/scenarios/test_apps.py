"""The app's door: every transport, several flows, wrong credentials, late wakers."""

import asyncio

import pytest

from sipis.world.call import ANSWER
from sipis.world.handset import Temper
from sipis.world.stage import sipis_of
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_phone_wakes_and_talks_over_every_transport(
    empty_town: Town, transport: str
) -> None:
    town = empty_town
    await town.serve(sip=town.certified(f"{transport}:127.0.0.1:0"))
    phone = await town.asleep()
    assert transport in str(phone.instance["relay"])
    caller, callee = await town.talk(phone)
    assert callee.flow.transport.value == transport
    assert (await caller.final).body == ANSWER
    assert (await caller.bye()).status == 200
    await callee.ended.wait()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_phone_hangs_up_over_every_transport(empty_town: Town, transport: str) -> None:
    town = empty_town
    await town.serve(sip=town.certified(f"{transport}:127.0.0.1:0"))
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    assert (await callee.bye()).status == 200
    await caller.ended.wait()


async def test_encrypted_doors_are_named_first(empty_town: Town) -> None:
    town = empty_town
    listeners = [f"{transport}:127.0.0.1:0" for transport in TRANSPORTS]
    await town.serve(sip=town.certified(*listeners))
    phone = await town.asleep()
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    named = [uri.partition("transport=")[2] for uri in relay["uris"]]
    assert named == ["tls", "wss", "tcp", "ws", "udp"]


async def test_media_keys_reach_an_encrypted_app_and_no_other(empty_town: Town) -> None:
    town = empty_town
    await town.serve(sip=town.certified("tls:127.0.0.1:0", "tcp:127.0.0.1:0"))
    phone = await town.asleep(temper=Temper.RING)
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    crypto = (
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
    )
    offer = ANSWER + crypto
    for uri, expected in zip(relay["uris"], (True, False), strict=True):
        phone.sleep()
        await phone.register(uri=uri)
        caller = town.provider.call("alice", body=offer)
        callee = await phone.callees.next()
        assert (b"a=crypto" in callee.invite.body) is expected
        caller.cancel()
        await caller.final


async def test_wrong_credentials_are_challenged_again_and_get_no_call(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    phone.instance = {**phone.instance, "relay": {**relay, "password": "0" * 64}}
    caller = town.provider.call("alice")
    await town.stage.fcm.pushes.next()
    assert (await phone.register()).status == 401
    assert (await caller.final).status == 480
    assert phone.callees.items == []


async def test_an_unknown_login_is_answered_as_a_wrong_password(town: Town) -> None:
    phone = await town.asleep()
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    phone.instance = {**phone.instance, "relay": {**relay, "username": "0" * 32}}
    answer = await phone.register()
    assert answer.status == 401
    assert answer.headers.get("WWW-Authenticate")


async def test_the_app_cannot_place_calls_through_the_relay(town: Town) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    assert callee.dialog is not None
    stray = callee.dialog.request("INVITE")
    stray.headers.set("To", "<sip:0900@provider.example>")
    stray.headers.set("Call-ID", "a-call-of-its-own")
    assert (await phone.ask(stray, callee.flow)).status == 603
    await caller.bye()


async def test_an_app_that_comes_twice_while_it_rings_is_called_once(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    await phone.register()
    await phone.register()
    callee.answer()
    assert (await caller.final).status == 200
    await callee.acknowledged.wait()
    assert len(phone.callees.items) == 1


async def test_an_app_that_changes_networks_while_it_rings_still_answers(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    first = await phone.callees.next()
    phone.sleep()
    await phone.register()
    second = await phone.callees.next()
    assert second.invite.headers.get("X-Push-Call-ID") == first.invite.headers.get("X-Push-Call-ID")
    second.answer()
    assert (await caller.final).status == 200
    await second.acknowledged.wait()


async def test_an_app_that_changes_networks_while_it_talks_is_hung_up_on_its_new_flow(
    town: Town,
) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    phone.sleep()
    await phone.register()
    assert (await caller.bye()).status == 200
    await callee.ended.wait()


async def test_the_newest_flow_gets_the_call(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    await phone.register()
    old = phone.flow
    phone.leave()
    await phone.register()
    caller = town.provider.call("alice")
    callee = await phone.callees.next()
    assert callee.flow == phone.flow != old
    caller.cancel()
    await caller.final


async def test_an_app_that_takes_its_registration_back_is_pushed_again(town: Town) -> None:
    phone = await town.asleep()
    await phone.register()
    assert (await phone.register(expires=0)).status == 200
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    assert (await caller.final).status == 200


async def test_an_app_that_the_phone_froze_is_pushed_and_answers_the_invite_that_it_has(
    town: Town,
) -> None:
    phone = await town.asleep()
    await phone.register()
    [connection] = phone.endpoint._connections._table
    connection._transport.pause_reading()  # type: ignore[attr-defined]
    caller = town.provider.call("alice")
    message = await town.stage.fcm.pushes.next()
    connection._transport.resume_reading()  # type: ignore[attr-defined]
    await phone.push(sipis_of(message.data))
    callee = await phone.callees.next()
    assert callee.invite.headers.get("X-Push-Call-ID") == sipis_of(message.data)["call"]
    assert (await caller.final).status == 200
    await callee.acknowledged.wait()
    assert len(phone.callees.items) == 1
    await caller.bye()


async def test_an_app_that_wakes_before_the_push_service_answers_is_called(town: Town) -> None:
    phone = await town.asleep()
    town.stage.fcm.hold()
    caller = town.provider.call("alice")
    message = await town.stage.fcm.pushes.next()
    await phone.push(sipis_of(message.data))
    callee = await phone.callees.next()
    assert (await caller.final).status == 200
    town.stage.fcm.release()
    await callee.acknowledged.wait()
    assert (await caller.bye()).status == 200


async def test_an_app_that_frowns_at_the_call_passes_its_reason_on(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    (await phone.callees.next()).refuse(488)
    assert (await caller.final).status == 488


@pytest.mark.parametrize("status", [401, 407, 408, 503])
async def test_what_would_mislead_a_caller_becomes_480(town: Town, status: int) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    (await phone.callees.next()).refuse(status)
    assert (await caller.final).status == 480


class TestLateWakers:
    """What an app is told that asks about a call: at each of its ends, and in between."""

    async def test_while_it_rings(self, town: Town) -> None:
        phone = await town.asleep(temper=Temper.IGNORE)
        caller = town.provider.call("alice")
        call = (await town.pushed(phone, "call"))["call"]
        assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "ringing"
        caller.cancel()
        await caller.final

    async def test_after_the_answer_and_after_the_end(self, town: Town) -> None:
        phone = await town.asleep()
        caller, callee = await town.talk(phone)
        call = callee.invite.headers.get("X-Push-Call-ID")
        assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "answered"
        await caller.bye()
        assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "answered"

    @pytest.mark.parametrize(
        ("reason", "state"),
        [
            ("", "cancelled"),
            ("SIP;cause=200", "elsewhere"),
            ("Q.850;cause=26", "elsewhere"),
            ("SIP;cause=603", "declined"),
            ("Q.850;cause=16", "cancelled"),
        ],
    )
    async def test_after_the_caller_gave_up(self, town: Town, reason: str, state: str) -> None:
        phone = await town.asleep(temper=Temper.IGNORE)
        caller = town.provider.call("alice")
        call = (await town.pushed(phone, "call"))["call"]
        caller.cancel(reason)
        assert (await caller.final).status == 487
        assert (await phone.here("GET", f"/calls/{call}")).body["state"] == state
        assert (await town.pushed(phone, "call-ended"))["call"] == call

    async def test_after_it_was_declined(self, town: Town) -> None:
        phone = await town.asleep(temper=Temper.DECLINE_OVER_HTTP)
        caller = town.provider.call("alice")
        call = (await town.pushed(phone, "call"))["call"]
        assert (await caller.final).status == 486
        assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "declined"

    async def test_after_nobody_answered(self, town: Town) -> None:
        phone = await town.asleep(temper=Temper.IGNORE)
        caller = town.provider.call("alice")
        call = (await town.pushed(phone, "call"))["call"]
        assert (await caller.final).status == 480
        assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "missed"
        late = await phone.here("POST", f"/calls/{call}/accept")
        assert late.body["state"] == "missed"
        await phone.register()
        assert phone.callees.items == []

    async def test_a_call_of_somebody_else_is_unknown(self, town: Town) -> None:
        phone = await town.asleep("alice", temper=Temper.IGNORE)
        other = await town.asleep("bob", temper=Temper.IGNORE)
        caller = town.provider.call("alice")
        call = (await town.pushed(phone, "call"))["call"]
        assert (await other.here("GET", f"/calls/{call}")).status == 404
        assert (await other.here("POST", f"/calls/{call}/decline")).status == 404
        assert not caller.final.done()
        caller.cancel()
        await caller.final


async def test_an_accepted_call_whose_app_never_comes_ends_in_480(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    caller = town.provider.call("alice")
    call = (await town.pushed(phone, "call"))["call"]
    assert (await phone.here("POST", f"/calls/{call}/accept")).status == 200
    async with asyncio.timeout(10):
        assert (await caller.final).status == 480
    assert (await town.pushed(phone, "call-ended"))["call"] == call
