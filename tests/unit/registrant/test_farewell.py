"""The last REGISTER: written before the key dies, sent after, never more than that."""

import asyncio

from sipis.model import Account, InstanceState, Mode
from sipis.registrant.farewell import DEADLINE, MOST_PENDING
from sipis.store import instances, lookup
from sipis.store.instances import NewBinding, Replacement
from tests.support.registrar import DOMAIN, Stage, refresh, silence, status
from tests.support.store import digest, name


async def end(stage: Stage, n: int) -> None:
    """What lifecycle does: prepare, destroy the key, send."""
    row = await stage.row(n)
    farewells = await stage.registrant.prepare_farewells([n])
    await stage.vault.destroy([row])
    stage.registrant.send_farewells(farewells)


def count(stage: Stage, outcome: str) -> float:
    sample = stage.metrics.registry.get_sample_value("sipis_farewells_total", {"outcome": outcome})
    return sample or 0.0


async def test_with_a_fresh_nonce_one_message_empties_the_registrar(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    sent = len(stage.registrar.requests)
    await end(stage, n)
    await stage.until(lambda: not stage.registrar.bindings)
    assert len(stage.registrar.requests) == sent + 1
    last, before = stage.registrar.requests[-1], stage.registrar.requests[-2]
    assert last.cseq.number > before.cseq.number
    assert last.call_id == before.call_id
    assert not last.is_star_contact
    await stage.settle()
    assert count(stage, "accepted") == 1


async def test_with_a_fresh_nonce_the_account_is_not_kept(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    (farewell,) = await stage.registrant.prepare_farewells([n])
    assert farewell.opened is None
    assert farewell.request is not None


async def test_with_an_old_nonce_the_account_is_kept_for_one_challenge(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await stage.clock.advance(600)
    stage.registrar.forget_nonces()
    row = await stage.row(n)
    (farewell,) = await stage.registrant.prepare_farewells([n])
    assert farewell.opened is not None
    await stage.vault.destroy([row])
    stage.registrant.send_farewells([farewell])
    await stage.until(lambda: not stage.registrar.bindings)
    assert farewell.opened is None


async def test_where_nonces_work_once_the_account_is_kept_for_the_challenge(stage: Stage) -> None:
    stage.registrar.one_time_nonces = True
    n = await stage.add_phone()
    await stage.registered(n)
    await refresh(stage, n)
    await end(stage, n)
    await stage.until(lambda: not stage.registrar.bindings)


async def test_a_second_challenge_is_not_answered(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await stage.clock.advance(600)
    stage.registrar.script = [stage.registrar.challenge] * 5
    sent = len(stage.registrar.requests)
    await end(stage, n)
    await stage.until(lambda: count(stage, "refused") == 1)
    assert len(stage.registrar.requests) == sent + 2


async def test_d21_what_is_not_answered_in_ten_seconds_is_dropped_and_forgotten(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await stage.clock.advance(600)
    stage.registrar.script = [silence] * 9
    row = await stage.row(n)
    (farewell,) = await stage.registrant.prepare_farewells([n])
    await stage.vault.destroy([row])
    stage.registrant.send_farewells([farewell])
    await stage.clock.advance(DEADLINE + 1)
    assert count(stage, "dropped") == 1
    assert farewell.opened is None
    heard = len(stage.registrar.requests)
    await stage.clock.advance(60)
    assert len(stage.registrar.requests) == heard


async def test_d21_a_farewell_that_is_never_sent_is_forgotten_as_well(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    (farewell,) = await stage.registrant.prepare_farewells([n])
    await stage.clock.advance(DEADLINE + 1)
    assert farewell.request is None
    stage.registrant.send_farewells([farewell])
    await stage.settle()
    assert len(stage.registrar.bindings) == 1


async def test_a_server_that_stops_waits_for_the_last_word_but_no_longer_than_it_is_kept(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await asyncio.wait_for(stage.registrant.drain(), 10)  # nothing was written: no wait
    stage.registrar.script = [silence] * 9
    stage.registrant.send_farewells(await stage.registrant.prepare_farewells([n]))
    async with asyncio.TaskGroup() as group:
        drained = group.create_task(stage.registrant.drain())
        await stage.clock.advance(DEADLINE - 1)
        assert not drained.done()
        await stage.clock.advance(2)
    assert count(stage, "dropped") == 1


async def moved(stage: Stage, n: int) -> None:
    """What lifecycle does when an instance gets another account."""
    farewells = await stage.registrant.prepare_move(n)
    binding = NewBinding(DOMAIN, digest(7), name(7), name(8))
    row = await stage.row(n)
    sealed = await stage.store.read(lookup.sealed, n, stage.clock.wall())
    assert sealed is not None
    new = await stage.vault.readmit(sealed, account=Account(f"sip:other@{DOMAIN}"))
    replacement = Replacement(new.slot, new.version, new.credential, new.targets, binding=binding)
    await stage.store.write(instances.replace, n, replacement, stage.clock.wall())
    await stage.vault.destroy([row])
    stage.registrant.send_farewells(farewells)
    stage.registrant.wake(n)


async def test_an_account_that_is_exchanged_is_unregistered_and_the_new_one_registered(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await moved(stage, n)
    await stage.until(lambda: list(stage.registrar.bindings.values()) == [name(7)])
    await stage.settle()
    assert (await stage.row(n)).state is InstanceState.REGISTERED
    assert count(stage, "accepted") == 1


async def test_an_account_that_is_exchanged_while_it_registers_leaves_no_binding(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    stage.registrar.script = [stage.registrar.challenge, silence]
    await stage.until(lambda: len(stage.registrar.requests) == 2)
    await moved(stage, n)
    await stage.until(lambda: list(stage.registrar.bindings.values()) == [name(7)])
    farewells = [one for one in stage.registrar.requests if one.expires == 0]
    assert min(one.cseq.number for one in farewells) > stage.registrar.requests[1].cseq.number


async def test_an_account_exchanged_twice_within_seconds_is_unregistered_twice(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await moved(stage, n)
    await stage.until(lambda: list(stage.registrar.bindings.values()) == [name(7)])
    await stage.settle()
    await end(stage, n)
    await stage.until(lambda: not stage.registrar.bindings)
    await stage.settle()
    assert count(stage, "accepted") == 2


async def test_a_takeover_moves_silently(stage: Stage) -> None:
    n = await stage.add_phone(mode=Mode.TAKEOVER)
    await stage.registered(n)
    assert await stage.registrant.prepare_move(n) == []


async def test_a_takeover_is_silent(stage: Stage) -> None:
    n = await stage.add_phone(mode=Mode.TAKEOVER)
    await stage.registered(n)
    assert await stage.registrant.prepare_farewells([n]) == []


async def test_without_a_binding_there_is_nothing_to_say(stage: Stage) -> None:
    stage.registrar.script = [status(480)]
    n = await stage.add_phone()
    await stage.until(lambda: bool(stage.told.states))
    assert await stage.registrant.prepare_farewells([n]) == []


async def test_a_register_under_way_is_stopped_and_its_binding_removed(stage: Stage) -> None:
    n = await stage.add_phone()
    stage.registrar.script = [stage.registrar.challenge, silence]
    await stage.until(lambda: len(stage.registrar.requests) == 2)
    under_way = stage.registrar.requests[-1]
    await end(stage, n)
    await stage.until(lambda: len(stage.registrar.requests) >= 3)
    farewell = stage.registrar.requests[-1]
    assert farewell.expires == 0
    assert farewell.cseq.number > under_way.cseq.number
    await stage.clock.advance(60)
    assert all(one.expires == 0 for one in stage.registrar.requests[2:])


async def test_nothing_is_registered_after_the_farewell_was_prepared(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registrant.prepare_farewells([n])
    await stage.clock.advance(300)
    assert stage.registrar.requests == []


async def test_an_instance_that_lives_on_after_all_registers_again(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registrant.prepare_farewells([n])
    await stage.clock.advance(300)
    stage.registrant.let_go([n])
    await stage.clock.advance(300)
    assert stage.registrar.bindings


async def test_a_mass_expiry_says_farewell_for_a_bounded_number(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    many = [10**6 + number for number in range(MOST_PENDING)] + [n]
    assert await stage.registrant.prepare_farewells(many) == []
