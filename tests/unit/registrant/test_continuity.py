"""Restarts, lost connections, new addresses, clocks that are set."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.clock import ManualClock
from sipis.model import InstanceState, Mode
from sipis.registrant.continuity import LastLife
from sipis.sip.flow import Transport
from sipis.sip.message import Request, Response
from sipis.store import timing
from tests.support.registrar import DOMAIN, Registrar, refresh, registrar_on, staged, status


async def test_a_quick_restart_at_the_same_address_sends_no_register(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        phones = [await stage.add_phone() for _ in range(5)]
        await stage.until(lambda: len(stage.told.states) == len(phones))
        port = stage.endpoint.listening[0].port
        await clock.advance(15)
    sent = len(registrar.requests)
    async with staged(tmp_path, clock, registrar, port=port):
        await clock.advance(300)
        assert len(registrar.requests) == sent


async def test_after_a_resumed_restart_the_refresh_is_one_round_trip_with_the_same_contact(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        await stage.registered(await stage.add_phone())
        port = stage.endpoint.listening[0].port
    contact, sent = registrar.requests[-1].headers.get("Contact"), len(registrar.requests)
    async with staged(tmp_path, clock, registrar, port=port) as stage:
        await stage.until(lambda: len(registrar.requests) > sent, step=20)
        await stage.settle()
        assert len(registrar.requests) == sent + 1
        assert registrar.requests[-1].headers.get("Contact") == contact


async def test_a_restart_at_another_address_registers_all_and_leaves_no_ghost(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        phones = [await stage.add_phone() for _ in range(3)]
        await stage.until(lambda: len(stage.told.states) == len(phones))
        await stage.settle()
    before = set(registrar.bindings)
    async with staged(tmp_path, clock, registrar) as stage:
        await clock.advance(150)
        assert len(registrar.bindings) == len(phones)
        assert not before & set(registrar.bindings)


async def test_a_pause_longer_than_the_nat_binding_registers_all(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        await stage.registered(await stage.add_phone())
        port = stage.endpoint.listening[0].port
    sent = len(registrar.requests)
    await clock.advance(120)
    async with staged(tmp_path, clock, registrar, port=port):
        await clock.advance(150)
        assert len(registrar.requests) > sent


async def test_an_attempt_that_a_stop_interrupted_is_made_again(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    registrar.script = [lambda _request: None]
    async with staged(tmp_path, clock, registrar) as stage:
        await stage.add_phone()
        await stage.until(lambda: len(registrar.requests) == 1)
        port = stage.endpoint.listening[0].port
    async with staged(tmp_path, clock, registrar, port=port) as stage:
        await stage.until(lambda: len(registrar.bindings) == 1)
        numbers = [request.cseq.number for request in registrar.requests]
        assert numbers == sorted(set(numbers))


async def test_bindings_of_a_lost_connection_are_made_again_over_a_new_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with (
        registrar_on(clock, Transport.TCP) as registrar,
        staged(tmp_path, clock, registrar) as stage,
    ):
        phones = [await stage.add_phone() for _ in range(4)]
        await stage.until(lambda: len(stage.told.states) == len(phones))
        await stage.settle()
        assert "outbound" in registrar.requests[-1].supported
        flow = await stage.endpoint.flow_to(registrar.target, provider=DOMAIN)
        sent = len(registrar.requests)
        stage.endpoint.close(flow)
        await stage.until(lambda: len(registrar.requests) >= sent + len(phones), step=0.2)
        await stage.settle()
        assert len(registrar.bindings) == len(phones)


@pytest.mark.parametrize("delay", [0.01, 0.2], ids=["before it is written down", "later"])
async def test_a_connection_closed_after_an_error_does_not_bring_the_next_attempt_forward(
    tmp_path: Path, clock: ManualClock, delay: float
) -> None:
    async with (
        registrar_on(clock, Transport.TCP) as registrar,
        staged(tmp_path, clock, registrar) as stage,
    ):

        def refuse_and_close(request: Request) -> Response | None:
            for connection in registrar.endpoint._connections._table:
                clock.call_at(clock.monotonic() + delay, connection.abort)
            return status(403)(request)

        n = await stage.add_phone()
        await stage.registered(n)
        registrar.script = [refuse_and_close] * 20
        await refresh(stage, n)
        sent = len(registrar.requests)
        assert (await stage.row(n)).failures == 1
        await clock.advance(20)
        assert len(registrar.requests) == sent


async def test_bindings_on_connections_are_made_again_after_a_restart(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with registrar_on(clock, Transport.TCP) as registrar:
        async with staged(tmp_path, clock, registrar) as stage:
            await stage.registered(await stage.add_phone())
            port = stage.endpoint.listening[0].port
        sent = len(registrar.requests)
        async with staged(tmp_path, clock, registrar, port=port) as stage:
            await stage.until(lambda: len(registrar.requests) > sent, step=0.2)
            await stage.settle()
            assert len(registrar.bindings) == 1


async def test_when_a_peer_sees_us_elsewhere_all_bindings_move_and_leave_no_ghost(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        phones = [await stage.add_phone() for _ in range(3)]
        await stage.until(lambda: len(stage.told.states) == len(phones))
        await stage.settle()
        registrar.seen_as = ("192.0.2.77", 41000)
        await clock.advance(61)
        await refresh(stage, phones[0])
        await clock.advance(130)
        assert len(registrar.bindings) == len(phones)
        assert all("@192.0.2.77:41000" in contact for contact in registrar.bindings)


async def test_after_a_machine_stood_still_longer_than_nat_bindings_last_all_are_made_again(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        phones = [await stage.add_phone() for _ in range(3)]
        await stage.until(lambda: len(registrar.bindings) == len(phones))
        sent = len(registrar.requests)
        clock.jump(120)
        await clock.advance(150)
        assert len(registrar.requests) == sent + len(phones)


async def test_a_clock_set_back_does_not_let_bindings_lapse(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        n = await stage.add_phone()
        await stage.registered(n)
        clock.jump(-2 * 3600)
        await clock.advance(200)
        row = await stage.row(n)
        assert row.next_attempt_at is not None
        assert row.next_attempt_at < clock.wall() + 3600


async def test_a_clock_set_back_prolongs_no_back_off(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    registrar.script = [status(480)]
    async with staged(tmp_path, clock, registrar) as stage:
        n = await stage.add_phone()
        await stage.until_told(n, InstanceState.ERROR)
        clock.jump(-86_400)
        await clock.advance(3700)
        assert len(registrar.bindings) == 1


async def test_a_clock_set_back_prolongs_no_lease_of_an_app(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        n = await stage.add_phone(mode=Mode.ALTERNATE)
        await stage.registered(n)
        await stage.store.write(timing.hold, n, clock.wall() + 900)
        await stage.registrant.withdraw(n)
        await stage.until_told(n, InstanceState.IDLE)
        clock.jump(-86_400)
        await clock.advance(3700)
        assert len(registrar.bindings) == 1


@given(st.text(max_size=60))
def test_any_note_can_be_read(text: str) -> None:
    assert LastLife.from_text(text).at >= 0 or True
    assert LastLife.from_text(LastLife(5.0, "x", (("h", 1, 2.0),)).to_text()).at == 5.0


def test_only_the_same_place_within_the_nat_binding_still_stands() -> None:
    last = LastLife(1000.0, "here")
    assert last.still_stands("here", 30, 1029)
    assert not last.still_stands("here", 30, 1031)
    assert not last.still_stands("there", 30, 1001)
    assert not last.still_stands("here", 30, 900)
