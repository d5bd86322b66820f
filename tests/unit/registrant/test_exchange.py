"""Attempts whose REGISTER is too large for UDP (RFC 3261 18.1.1)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.sip.flow import Transport
from tests.support.processes import free_port_pair
from tests.support.registrar import Registrar, Stage, refresh, registrar_on, staged

LONG = "x" * 1000
"""A nonce as some registrars make it: the answer to it is no longer one for UDP."""


@pytest.fixture
async def registrar(clock: ManualClock) -> AsyncIterator[Registrar]:
    """A registrar with TCP beside UDP, and long nonces."""
    port, both = free_port_pair(), [Transport.TCP]
    async with registrar_on(clock, port=port, beside=both) as running:
        running.padding = LONG
        yield running


async def test_a_large_register_goes_over_tcp_and_binds_the_contact_of_udp(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    first, answered = stage.registrar.requests
    assert (first.via.transport, answered.via.transport) == ("UDP", "TCP")
    [contact] = stage.registrar.bindings
    assert f":{stage.endpoint.listening[0].port}" in contact
    assert "transport" not in contact


async def test_what_tcp_shows_of_our_address_is_no_news_about_udp(
    stage: Stage, clock: ManualClock
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await refresh(stage, n)
    sent = len(stage.registrar.requests)
    await clock.advance(60)
    assert len(stage.registrar.requests) == sent
    assert len(stage.registrar.bindings) == 1


async def test_the_udp_flow_is_kept_alive_since_calls_come_there(
    stage: Stage, clock: ManualClock
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    flow = await stage.endpoint.flow_to(stage.registrar.target)
    assert stage.endpoint._keepalive.holds(flow)


async def test_a_lost_connection_makes_the_binding_again(stage: Stage, clock: ManualClock) -> None:
    """Registrars that mend NAT reach us over the connection that brought the REGISTER."""
    n = await stage.add_phone()
    await stage.registered(n)
    sent = len(stage.registrar.requests)
    for connection in stage.registrar.endpoint._connections._table:
        connection.abort()
    await stage.until(lambda: len(stage.registrar.requests) > sent)


async def test_without_tcp_the_large_register_goes_over_udp(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with registrar_on(clock, port=free_port_pair()) as registrar:
        registrar.padding = LONG
        async with staged(tmp_path, clock, registrar) as stage:
            await stage.registered(await stage.add_phone())
    assert [it.via.transport for it in registrar.requests] == ["UDP", "UDP"]
