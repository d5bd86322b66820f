"""A server that stops, drains or dies while phones ring and people talk."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import replace

import pytest

from sipis.sip.flow import Transport
from sipis.world.handset import Handset, Temper
from tests.scenarios.conftest import Town
from tests.support.processes import free_port, free_port_pair

pytestmark = pytest.mark.timeout(30)


def same_ports() -> dict[str, Mapping[str, object]]:
    """Settings under which a server comes back where it was."""
    port = free_port_pair()
    return {
        "api": {"port": free_port(socket.SOCK_STREAM)},
        "sip": {
            "provider_listeners": [f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}"],
            "app_listeners": [f"tcp:127.0.0.1:{free_port(socket.SOCK_STREAM)}"],
        },
        "policy": {"react_timeout": 15},
    }


@pytest.fixture
async def town(empty_town: Town) -> Town:
    await empty_town.serve(**same_ports())
    return empty_town


async def restart(town: Town) -> None:
    await town.stop()
    await town.serve()


async def comes_back(phone: Handset) -> None:
    """Register again, over a new flow."""
    assert (await phone.register()).status == 200
    for callee in phone.callees.items:
        assert phone.flow is not None
        callee.flow = phone.flow


async def test_bindings_are_left_alone_and_the_next_call_is_answered(town: Town) -> None:
    phone = await town.asleep()
    said = len(town.provider.registrar.requests.items)
    await restart(town)
    caller, _ = await town.talk(phone)
    assert (await caller.bye()).status == 200
    assert len(town.provider.registrar.requests.items) == said


async def test_messages_outlive_a_restart(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    assert (await town.provider.message("alice", "hello")).status == 202
    await town.pushed(phone, "message")
    await restart(town)
    await phone.register()
    assert (await phone.messages.next()).body == b"hello"


async def test_a_phone_that_rang_is_told_that_it_missed_the_call(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    town.provider.call("alice")
    call = (await town.pushed(phone, "call"))["call"]
    await restart(town)
    assert (await town.pushed(phone, "call-ended"))["call"] == call
    assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "missed"


class TestTalking:
    """A call that was answered before the restart."""

    @pytest.fixture(params=[Transport.UDP, Transport.TCP])
    async def transport(self, request: pytest.FixtureRequest) -> Transport:
        assert isinstance(request.param, Transport)
        return request.param

    async def test_is_ended_by_the_caller(self, town: Town, transport: Transport) -> None:
        phone = await town.asleep(account={"registrar": town.provider.address(transport)})
        caller, callee = await town.talk(phone)
        await restart(town)
        await comes_back(phone)
        assert (await caller.bye()).status == 200
        await callee.ended.wait()

    async def test_is_ended_by_the_app(self, town: Town, transport: Transport) -> None:
        phone = await town.asleep(account={"registrar": town.provider.address(transport)})
        caller, callee = await town.talk(phone)
        await restart(town)
        await comes_back(phone)
        assert (await callee.bye()).status == 200
        await caller.ended.wait()

    async def test_that_came_by_a_connection_of_the_provider_is_ended_too(self, town: Town) -> None:
        phone = await town.asleep()
        [binding] = town.provider.registrar.bindings("alice")
        flow = await town.provider.flow_to(*binding.flow.remote, Transport.TCP, share="fresh")
        caller = town.provider.call("alice", binding=replace(binding, flow=flow))
        await town.pushed(phone, "call")
        callee = await phone.callees.next()
        await caller.final
        await callee.acknowledged.wait()
        await restart(town)
        await comes_back(phone)
        assert (await callee.bye()).status == 200
        await caller.ended.wait()

    async def test_may_still_be_changed(self, town: Town) -> None:
        phone = await town.asleep()
        caller, callee = await town.talk(phone)
        await restart(town)
        await comes_back(phone)
        assert (await callee.ask("INVITE", b"v=0\r\n")).status == 200
        assert (await caller.ask("INFO", b"5", kind="application/dtmf")).status == 200
        assert (await caller.bye()).status == 200

    async def test_is_ended_for_an_app_that_comes_back_too_late(self, town: Town) -> None:
        phone = await town.asleep()
        caller, callee = await town.talk(phone)
        await restart(town)
        assert (await caller.bye()).status == 200
        await comes_back(phone)
        await callee.ended.wait()


class TestDraining:
    """A server that was told to stop."""

    async def test_waits_for_a_phone_that_rings(self, town: Town) -> None:
        phone = await town.asleep(temper=Temper.RING)
        caller = town.provider.call("alice")
        await town.pushed(phone, "call")
        callee = await phone.callees.next()
        assert town.server is not None
        draining = asyncio.ensure_future(town.server.drain(asyncio.Event()))
        await asyncio.sleep(0)
        callee.answer()
        assert (await caller.final).status == 200
        await draining
        await callee.acknowledged.wait()

    async def test_ends_what_still_rings_with_480_and_tells_the_phone(self, town: Town) -> None:
        phone = await town.asleep(temper=Temper.IGNORE)
        caller = town.provider.call("alice")
        call = (await town.pushed(phone, "call"))["call"]
        assert town.server is not None
        await town.server.drain(asyncio.Event())
        await town.stop()
        final = await caller.final
        assert (final.status, final.headers.get("X-Sipis-Reason")) == (480, "Server-Stopping")
        assert (await town.pushed(phone, "call-ended"))["call"] == call

    async def test_takes_no_new_calls_and_is_not_ready(self, town: Town) -> None:
        phone = await town.asleep(temper=Temper.IGNORE)
        first = town.provider.call("alice")
        await town.pushed(phone, "call")
        assert town.server is not None
        hurry = asyncio.Event()
        draining = asyncio.ensure_future(town.server.drain(hurry))
        await asyncio.sleep(0)
        assert not town.server.health.ready
        second = town.provider.call("alice")
        final = await second.final
        assert final.status == 503
        assert final.headers.get("Retry-After")
        assert not first.final.done()
        hurry.set()
        await draining
        assert (await first.final).status == 480
