"""The registrant against a registrar on loopback: what it sends, stores and tells."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.model import InstanceState, Mode
from sipis.registrant.bindings import Identity, contact_uri
from sipis.registrant.breaker import ACCOUNTS_TO_TRIP
from sipis.registrant.politeness import NONCE_REST
from sipis.secret import Secret
from sipis.sip.digest import Algorithm, new_challenge
from sipis.sip.flow import Transport
from sipis.sip.message import Request, Response, response_to
from sipis.sip.uri import SipUri
from sipis.store import instances, lookup, schedule, timing
from sipis.store.instances import Replacement
from sipis.transport.targets import Target
from sipis.vault import Ha1, Ha1Credential
from tests.support.registrar import (
    DOMAIN,
    Registrar,
    Stage,
    refresh,
    registrar_on,
    settings_for,
    silence,
    staged,
    status,
)

HOUR = 3600.0


@dataclass
class SlowNames:
    """A resolver whose answers wait for the test's word."""

    targets: list[Target]
    found: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def resolve(self, uri: SipUri) -> list[Target]:
        self.waiting += 1
        await self.found.wait()
        self.waiting -= 1
        return list(self.targets)


async def test_a_new_phone_is_registered_with_one_answered_challenge(stage: Stage) -> None:
    n = await stage.add_phone()
    row = await stage.registered(n)
    assert row.state is InstanceState.REGISTERED
    assert len(stage.registrar.requests) == 2
    assert list(stage.registrar.bindings.values()) == [row.contact_token]
    assert stage.told.states == [(n, InstanceState.REGISTERED, "")]


async def test_the_refresh_falls_due_within_the_grant_and_is_sent_by_itself(stage: Stage) -> None:
    n = await stage.add_phone()
    row = await stage.registered(n)
    assert row.next_attempt_at is not None
    assert HOUR * 0.5 <= row.next_attempt_at - stage.clock.wall() <= HOUR * 0.9
    await stage.until(lambda: len(stage.registrar.requests) == 3, step=10)


async def test_a_refresh_with_a_live_nonce_is_one_round_trip_and_the_same_binding(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await refresh(stage, n)
    first, again = stage.registrar.answered()
    assert len(stage.registrar.requests) == 3
    assert again.cseq.number > first.cseq.number
    assert again.call_id == first.call_id
    assert again.from_.tag == first.from_.tag
    assert again.headers.get("Contact") == first.headers.get("Contact")
    assert "nc=00000002" in (again.headers.get("Authorization") or "")
    assert len(stage.registrar.bindings) == 1


async def test_the_flow_of_a_binding_is_kept_alive(stage: Stage) -> None:
    flow = await stage.endpoint.flow_to(stage.registrar.target)
    n = await stage.add_phone()
    assert not stage.endpoint._keepalive.holds(flow)
    await stage.registered(n)
    assert stage.endpoint._keepalive.holds(flow)


async def test_a_refresh_that_goes_well_is_no_news(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    await refresh(stage, n)
    assert len(stage.told.states) == 1


@pytest.mark.parametrize("one_time", [False, True], ids=["stale", "one-time"])
async def test_a_refused_cached_nonce_is_answered_anew_and_no_wrong_password(
    stage: Stage, one_time: bool
) -> None:
    stage.registrar.one_time_nonces = one_time
    n = await stage.add_phone()
    await stage.registered(n)
    stage.registrar.forget_nonces()
    await refresh(stage, n)
    row = await stage.row(n)
    assert row.state is InstanceState.REGISTERED
    assert (row.failures, row.refusals) == (0, 0)
    assert len(stage.registrar.requests) == 4


async def test_where_nonces_work_once_none_is_tried_twice(stage: Stage) -> None:
    stage.registrar.one_time_nonces = True
    n = await stage.add_phone()
    await stage.registered(n)
    await refresh(stage, n)
    answered = len(stage.registrar.answered())
    await refresh(stage, n)
    assert len(stage.registrar.answered()) == answered + 1


async def test_a_registrar_that_was_restarted_once_is_offered_used_nonces_again(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    stage.registrar.one_time_nonces = True
    stage.registrar.forget_nonces()
    await refresh(stage, n)
    stage.registrar.one_time_nonces = False
    await stage.clock.advance(NONCE_REST)
    await refresh(stage, n)
    sent = len(stage.registrar.requests)
    await refresh(stage, n)
    assert len(stage.registrar.requests) == sent + 1


async def test_a_wrong_password_that_never_worked_stops_after_one_answer(stage: Stage) -> None:
    n = await stage.add_phone(password="wrong")
    await stage.until_told(n, InstanceState.UNAUTHORIZED)
    row = await stage.row(n)
    assert row.next_attempt_at is None
    assert row.reason == "wrong_password"
    assert len(stage.registrar.answered()) == 1
    await stage.clock.advance(2 * HOUR)
    assert len(stage.registrar.answered()) == 1


async def test_a_proven_password_is_tried_three_times(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    reject = stage.registrar.challenge
    for attempt in range(3):
        stage.registrar.script = [reject, reject]
        await refresh(stage, n)
        assert (await stage.row(n)).refusals == attempt + 1
    row = await stage.row(n)
    assert row.state is InstanceState.UNAUTHORIZED
    assert row.next_attempt_at is None


async def test_k11_a_realm_without_ha1_is_not_answered(stage: Stage) -> None:
    other = Ha1("elsewhere.example", Algorithm.MD5, Secret("ab" * 16))
    n = await stage.add_phone(credential=Ha1Credential((other,)))
    await stage.until_told(n, InstanceState.UNAUTHORIZED)
    assert (await stage.row(n)).reason == "needs_credentials"
    assert stage.registrar.answered() == []


async def test_a_weaker_challenge_than_before_is_not_answered(stage: Stage) -> None:
    stage.registrar.algorithm = Algorithm.SHA256
    n = await stage.add_phone()
    await stage.registered(n)
    stage.registrar.algorithm = Algorithm.MD5
    stage.registrar.forget_nonces()
    answered = len(stage.registrar.answered())
    await refresh(stage, n)
    assert (await stage.row(n)).reason == "needs_credentials"
    assert len(stage.registrar.answered()) == answered + 1  # the cached nonce, nothing weaker


async def test_423_is_retried_once_and_remembered_for_the_provider(stage: Stage) -> None:
    stage.registrar.script = [status(423, Min_Expires="7200")]
    first = await stage.add_phone()
    await stage.registered(first)
    asked = [request.expires for request in stage.registrar.requests]
    assert asked == [3600, 7200, 7200]
    second = await stage.add_phone()
    await stage.registered(second)
    assert stage.registrar.requests[-1].expires == 7200


async def test_a_grant_shorter_than_asked_for_is_what_counts(stage: Stage) -> None:
    stage.registrar.granted = 60
    n = await stage.add_phone()
    row = await stage.registered(n)
    assert row.next_attempt_at is not None
    assert 30 <= row.next_attempt_at - (row.last_attempt_at or 0) <= 55


async def test_a_200_without_our_contact_is_an_error(stage: Stage) -> None:
    stage.registrar.script = [status(200)]
    n = await stage.add_phone()
    await stage.until_told(n, InstanceState.ERROR)
    assert (await stage.row(n)).reason == "not_bound"


async def test_a_403_waits_long_and_proves_nothing(stage: Stage) -> None:
    stage.registrar.script = [stage.registrar.challenge, status(403)]
    n = await stage.add_phone()
    await stage.until_told(n, InstanceState.ERROR)
    row = await stage.row(n)
    assert row.reason == "forbidden"
    assert row.next_attempt_at is not None
    assert 300 <= row.next_attempt_at - stage.clock.wall() <= 1800


async def test_retry_after_of_a_503_silences_the_whole_host(stage: Stage) -> None:
    stage.registrar.script = [status(503, Retry_After="120 (maintenance)")]
    first = await stage.add_phone()
    await stage.until_told(first, InstanceState.ERROR)
    await stage.add_phone()
    await stage.clock.advance(119)
    assert len(stage.registrar.requests) == 1
    await stage.until(lambda: len(stage.registrar.bindings) == 2, step=1)


async def test_a_423_where_nonces_work_once_is_no_wrong_password(stage: Stage) -> None:
    challenge, brief = stage.registrar.challenge, status(423, Min_Expires="7200")
    stage.registrar.script = [challenge, brief, challenge]
    n = await stage.add_phone()
    row = await stage.registered(n)
    assert row.refusals == 0
    assert len(stage.registrar.answered()) == 3


async def test_retry_after_of_a_503_silences_a_host_that_has_an_alternative(
    stage: Stage, clock: ManualClock
) -> None:
    stage.registrar.script = [status(503, Retry_After="120")]
    async with registrar_on(clock, host="127.0.0.2") as second:
        stage.resolver.targets.append(second.target)
        for number in (1, 2):
            await stage.registered(await stage.add_phone())
            assert len(second.bindings) == number
        assert len(stage.registrar.requests) == 1


async def test_a_redirection_is_not_followed(stage: Stage) -> None:
    stage.registrar.script = [status(302, Contact="<sip:127.0.0.1:9>")]
    n = await stage.add_phone()
    await stage.until_told(n, InstanceState.ERROR)
    assert (await stage.row(n)).reason == "redirected"


async def test_what_stumbles_over_optional_headers_gets_none(stage: Stage) -> None:
    stage.registrar.script = [status(420, Unsupported="path")]
    n = await stage.add_phone()
    await stage.registered(n)
    assert "Supported" in stage.registrar.requests[0].headers
    assert "Supported" not in stage.registrar.requests[1].headers
    other = await stage.add_phone()
    await stage.registered(other)
    assert "Supported" not in stage.registrar.requests[-1].headers


async def test_a_silent_address_is_left_for_the_next_within_seconds(
    stage: Stage, clock: ManualClock
) -> None:
    stage.registrar.script = [silence] * 20
    async with registrar_on(clock) as second:
        stage.resolver.targets.append(second.target)
        began = clock.monotonic()
        n = await stage.add_phone()
        await stage.registered(n)
        assert clock.monotonic() - began < 8
        assert len(second.bindings) == 1


async def test_silence_of_the_only_address_is_a_timeout_that_backs_off(stage: Stage) -> None:
    stage.registrar.script = [silence] * 20
    n = await stage.add_phone()
    await stage.until(lambda: bool(stage.told.states), step=0.5)
    row = await stage.row(n)
    assert (row.state, row.reason) == (InstanceState.ERROR, "timeout")
    assert row.next_attempt_at is not None
    assert 20 <= row.next_attempt_at - stage.clock.wall() <= 60


async def test_no_server_is_told_and_tried_again(stage: Stage) -> None:
    found, stage.resolver.targets = stage.resolver.targets, []
    n = await stage.add_phone()
    await stage.until_told(n, InstanceState.ERROR)
    assert (await stage.row(n)).reason == "unreachable"
    stage.resolver.targets = found
    await stage.until(lambda: len(stage.registrar.bindings) == 1, step=1)


async def test_many_phones_failing_at_once_close_the_address_and_one_canary_opens_it(
    stage: Stage,
) -> None:
    phones = [await stage.add_phone() for _ in range(ACCOUNTS_TO_TRIP + 4)]
    await stage.until(lambda: len(stage.registrar.bindings) == len(phones))
    await stage.settle()
    stage.registrar.script = [status(403)] * 1000
    await stage.store.write(timing.make_due, phones[:ACCOUNTS_TO_TRIP], stage.clock.wall())
    stage.registrant.wake()
    await stage.until(lambda: len(stage.told.states) == len(phones) + ACCOUNTS_TO_TRIP)
    tried = len(stage.registrar.requests)
    await stage.store.write(timing.make_due, phones[ACCOUNTS_TO_TRIP:], stage.clock.wall())
    stage.registrant.wake()
    await stage.clock.advance(20)
    assert len(stage.registrar.requests) == tried
    stage.registrar.script = []
    await stage.until(lambda: len(stage.registrar.requests) > tried, step=1)
    assert len(stage.registrar.requests) == tried + 1


async def test_doubtful_accounts_draw_on_an_hourly_budget_of_refusals(stage: Stage) -> None:
    wrong = [await stage.add_phone(password="wrong") for _ in range(8)]
    await stage.until(lambda: len(stage.registrar.answered()) == 5)
    await stage.clock.advance(600)
    assert len(stage.registrar.answered()) == 5
    stopped = [n for n, state, _ in stage.told.states if state is InstanceState.UNAUTHORIZED]
    assert len(stopped) == 5
    await stage.until(lambda: len(stage.told.states) == len(wrong), step=20)


async def test_accounts_that_were_closed_do_not_use_up_the_budget_of_new_ones(
    stage: Stage,
) -> None:
    closed = [await stage.add_phone() for _ in range(5)]
    await stage.until(lambda: len(stage.registrar.bindings) == len(closed))
    await stage.settle()
    for n in closed:
        stage.registrar.script = [status(403)]
        await refresh(stage, n)
        assert (await stage.row(n)).failures == 1
    began = stage.clock.monotonic()
    await stage.registered(await stage.add_phone())
    assert stage.clock.monotonic() - began < 1


async def test_a_registrar_is_paced(tmp_path: Path, clock: ManualClock) -> None:
    settings = settings_for(providers={DOMAIN: {"register_per_second": 10}})
    async with (
        registrar_on(clock) as registrar,
        staged(tmp_path, clock, registrar, settings=settings) as stage,
    ):
        for _ in range(60):
            await stage.add_phone()
        counts = []
        for _ in range(5):
            before = len(registrar.bindings)
            await clock.advance(1)
            counts.append(len(registrar.bindings) - before)
        assert max(counts) <= 15
        assert sum(counts) >= 35


async def test_a_silent_provider_with_many_phones_does_not_delay_another(
    stage: Stage, clock: ManualClock
) -> None:
    stage.registrar.script = [silence] * 1000
    for _ in range(100):
        await stage.add_phone()
    await clock.advance(2)
    async with registrar_on(clock, host="127.0.0.2") as other:
        stage.resolver.own["other.example"] = [other.target]
        began = clock.monotonic()
        n = await stage.add_phone(domain="other.example")
        await stage.registered(n)
        assert clock.monotonic() - began < 1


async def test_a_phone_whose_key_is_gone_sends_nothing_and_is_reported(stage: Stage) -> None:
    n = await stage.add_phone()
    row = await stage.registered(n)
    await stage.vault.destroy([row])
    sent = len(stage.registrar.requests)
    await stage.store.write(timing.make_due, [n], stage.clock.wall())
    stage.registrant.wake(n)
    await stage.until(lambda: stage.told.unopenable == [n])
    assert len(stage.registrar.requests) == sent


async def test_an_account_that_is_sealed_anew_after_its_claim_registers_all_the_same(
    stage: Stage,
) -> None:
    n = await stage.add_phone()
    row = await stage.registered(n)
    claim = await stage.store.write(schedule.seize, n, stage.clock.wall())
    sealed = await stage.store.read(lookup.sealed, n, stage.clock.wall())
    assert claim is not None
    assert sealed is not None
    new = await stage.vault.readmit(sealed)
    replacement = Replacement(new.slot, new.version, new.credential, new.targets)
    await stage.store.write(instances.replace, n, replacement, stage.clock.wall())
    await stage.vault.destroy([row])
    before = len(stage.registrar.requests)
    stage.registrant._politeness.desk(DOMAIN).start(1)
    await stage.registrant._exchanges.start(claim)
    await stage.until(lambda: len(stage.registrar.requests) > before)
    assert stage.told.unopenable == []


async def test_the_success_of_a_password_is_reported_with_its_realm(stage: Stage) -> None:
    n = await stage.add_phone()
    await stage.registered(n)
    assert stage.told.proven == [(n, (DOMAIN,))]


async def test_a_proxy_with_a_realm_of_its_own_is_answered_beside_the_registrar(
    stage: Stage,
) -> None:
    rules = stage.registrar.accept

    def behind_a_proxy(request: Request) -> Response | None:
        if "Proxy-Authorization" in request.headers:
            return rules(request)
        response = response_to(request, 407, to_tag="t")
        challenge = new_challenge("proxy.example", "a-nonce", Algorithm.MD5)
        response.headers.add("Proxy-Authenticate", challenge)
        return response

    stage.registrar.script = [behind_a_proxy] * 10
    n = await stage.add_phone()
    await stage.registered(n)
    assert stage.told.proven == [(n, ("proxy.example", DOMAIN))]


async def test_an_aborted_attempt_settles_nothing(stage: Stage) -> None:
    stage.registrar.script = [silence]
    n = await stage.add_phone()
    await stage.until(lambda: len(stage.registrar.requests) == 1)
    stage.registrant.abort(n)
    await stage.clock.advance(40)
    assert stage.told.states == []
    assert len(stage.registrar.requests) == 1


async def test_an_alternate_phone_in_the_foreground_is_withdrawn_and_comes_back(
    stage: Stage,
) -> None:
    n = await stage.add_phone(mode=Mode.ALTERNATE)
    await stage.registered(n)
    now = stage.clock.wall()
    await stage.store.write(timing.hold, n, now + 900)
    await stage.registrant.withdraw(n)
    await stage.until(lambda: not stage.registrar.bindings)
    await stage.until_told(n, InstanceState.IDLE)
    assert not any(one.is_star_contact for one in stage.registrar.requests)
    await stage.clock.advance(800)
    assert not stage.registrar.bindings
    await stage.until(lambda: len(stage.registrar.bindings) == 1, step=10)


async def test_a_phone_that_was_refused_for_good_is_not_withdrawn(stage: Stage) -> None:
    n = await stage.add_phone(password="wrong", mode=Mode.ALTERNATE)
    await stage.until_told(n, InstanceState.UNAUTHORIZED)
    sent = len(stage.registrar.requests)
    await stage.store.write(timing.hold, n, stage.clock.wall() + 900)
    await stage.registrant.withdraw(n)
    await stage.clock.advance(1000)
    assert len(stage.registrar.requests) == sent
    assert (await stage.row(n)).state is InstanceState.UNAUTHORIZED


async def test_a_phone_without_a_binding_is_not_withdrawn_and_comes_back(stage: Stage) -> None:
    stage.registrar.script = [stage.registrar.challenge, status(403)]
    n = await stage.add_phone(mode=Mode.ALTERNATE)
    await stage.until_told(n, InstanceState.ERROR)
    sent = len(stage.registrar.requests)
    await stage.store.write(timing.hold, n, stage.clock.wall() + 900)
    await stage.registrant.withdraw(n)
    await stage.clock.advance(890)
    assert len(stage.registrar.requests) == sent
    await stage.until(lambda: len(stage.registrar.bindings) == 1, step=1)


async def test_a_phone_withdrawn_while_its_registrar_is_looked_up_is_not_registered(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    names = SlowNames([registrar.target])
    async with staged(tmp_path, clock, registrar, names=names) as stage:
        names.found.set()
        n = await stage.add_phone(mode=Mode.ALTERNATE)
        await stage.registered(n)
        await clock.advance(10)
        names.found.clear()
        await stage.store.write(timing.make_due, [n], clock.wall())
        stage.registrant.wake(n)
        await stage.until(lambda: names.waiting == 1)
        await stage.store.write(timing.hold, n, clock.wall() + 900)
        await stage.registrant.withdraw(n)
        await stage.until(lambda: names.waiting == 2)
        names.found.set()
        await stage.until_told(n, InstanceState.IDLE)
        assert not registrar.bindings


async def test_a_new_address_removes_the_old_contact_in_the_same_register(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = await stage.add_phone()
    row = await stage.registered(n)
    new = ("192.0.2.55", 5060)
    monkeypatch.setattr(stage.endpoint, "contact_address", lambda _flow: new)
    await refresh(stage, n)
    identity = Identity.of(row.contact_token, row.call_id)
    assert list(stage.registrar.bindings) == [contact_uri(identity, *new, Transport.UDP)]


async def test_learnt_sources_are_known_at_once_and_after_a_restart(
    tmp_path: Path, clock: ManualClock, registrar: Registrar
) -> None:
    async with staged(tmp_path, clock, registrar) as stage:
        await stage.registered(await stage.add_phone())
        assert stage.registrant.sources.is_known(DOMAIN, "127.0.0.1")
        assert not stage.registrant.sources.is_known(DOMAIN, "192.0.2.1")
    async with staged(tmp_path, clock, registrar) as stage:
        await stage.registrant.know_sources()
        assert stage.registrant.sources.is_known(DOMAIN, "127.0.0.1")
