"""Registrations at a provider with habits, end to end: what is sent, shown and told."""

from typing import Any

import pytest

from sipis.sip.digest import Algorithm, ha1
from sipis.sip.flow import Transport
from sipis.sip.message import Request
from sipis.world.handset import Answer, Handset
from sipis.world.registrar import Refusal
from sipis.world.stage import sipis_of
from tests.scenarios.conftest import Town
from tests.support.life import refresh_now, row_of

pytestmark = pytest.mark.timeout(30)


def sent(town: Town) -> list[Request]:
    """Every REGISTER that the provider got."""
    return town.provider.registrar.requests.items


def answered(town: Town) -> list[Request]:
    """Those that carried credentials."""
    return [one for one in sent(town) if "Authorization" in one.headers]


def account(town: Town, user: str = "alice", **changes: object) -> dict[str, object]:
    """An account of a user whose password is `secret`."""
    aor = town.provider.add(user, "secret")
    return {"aor": aor, "password": "secret", "registrar": town.provider.address(), **changes}


async def enabled(town: Town, given: dict[str, object] | None = None, **more: Any) -> Handset:
    """A phone that handed an account over."""
    phone = await town.phone()
    answer = await phone.enable(given or account(town), **more)
    assert answer.status == 201, answer
    return phone


async def replaced(phone: Handset, **what: object) -> Answer:
    answer = await phone.here("PUT", "", what)
    assert answer.status == 200, answer
    return answer


async def test_a_wrong_password_is_tried_once_and_the_app_is_told(town: Town) -> None:
    phone = await enabled(town, account(town, password="wrong"))
    stands = await town.state(phone, "unauthorized")
    assert (stands["reason"], stands["last_status"]) == ("wrong_password", 401)
    assert "next_attempt_at" not in stands
    await town.pushed(phone, "expiring")
    assert len(answered(town)) == 1
    await enabled(town, account(town, "bob"))
    await town.bound(1, "bob")
    assert len([one for one in answered(town) if "alice" in str(one.to)]) == 1


async def test_the_right_password_revives_what_a_wrong_one_stopped(town: Town) -> None:
    phone = await enabled(town, account(town, password="wrong"))
    await town.state(phone, "unauthorized")
    await replaced(phone, account=account(town))
    await town.state(phone, "registered")


async def test_a_provider_that_wants_longer_intervals_gets_them(town: Town) -> None:
    town.provider.registrar.habits.longest_grant = 7200
    town.provider.registrar.habits.min_expires = 7200
    await town.state(await enabled(town), "registered")
    assert [one.expires for one in sent(town)] == [3600, 3600, 7200]
    await town.state(await enabled(town, account(town, "bob")), "registered")
    assert {one.expires for one in sent(town)[3:]} == {7200}


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Refusal(403), "forbidden"),
        (Refusal(404), "unknown_user"),
        (Refusal(500), "provider_error"),
        (Refusal(302, (("Contact", "<sip:127.0.0.1:9>"),)), "redirected"),
    ],
)
async def test_a_refusal_is_shown_and_waited_out(town: Town, refusal: Refusal, reason: str) -> None:
    town.provider.registrar.habits.refusals.append(refusal)
    phone = await enabled(town)
    stands = await town.state(phone, "error")
    assert (stands["reason"], stands["last_status"]) == (reason, refusal.status)
    row = await row_of(town, phone)
    assert row.next_attempt_at is not None
    assert row.last_attempt_at is not None
    assert row.next_attempt_at - row.last_attempt_at >= 29
    await refresh_now(town, phone)
    await town.state(phone, "registered")


async def test_who_asks_to_be_left_alone_is_left_alone_by_all_phones(town: Town) -> None:
    town.provider.registrar.habits.refusals.append(Refusal(503, (("Retry-After", "120"),)))
    first = await enabled(town)
    await town.state(first, "error")
    row = await row_of(town, first)
    assert row.next_attempt_at is not None
    assert row.last_attempt_at is not None
    assert row.next_attempt_at - row.last_attempt_at >= 119
    second = await enabled(town, account(town, "bob"))
    while (await second.here("GET")).body.get("reason") != "provider_paused":
        pass
    assert len(sent(town)) == 1


async def test_a_nonce_that_has_aged_is_no_wrong_password(town: Town) -> None:
    phone = await enabled(town)
    await town.state(phone, "registered")
    town.provider.registrar.habits.nonce_age = 0.0
    await refresh_now(town, phone)
    await town.provider.registrar.requests.count(3)
    town.provider.registrar.habits.nonce_age = 300.0
    await town.provider.registrar.accepted.count(2)
    stands = await town.state(phone, "registered")
    assert stands["reason"] == ""
    assert (await row_of(town, phone)).refusals == 0


async def test_nonces_that_work_once_are_asked_for_each_time(town: Town) -> None:
    town.provider.registrar.habits.one_time_nonces = True
    phone = await enabled(town)
    await town.state(phone, "registered")
    for accepted in (2, 3):
        await refresh_now(town, phone)
        await town.provider.registrar.accepted.count(accepted)
    await town.state(phone, "registered")
    assert (await row_of(town, phone)).refusals == 0


@pytest.mark.parametrize("algorithm", [Algorithm.SHA256, Algorithm.SHA512_256])
async def test_a_retired_password_answers_with_every_algorithm(
    town: Town, algorithm: Algorithm
) -> None:
    phone = await enabled(town)
    await town.state(phone, "registered")
    town.provider.registrar.habits.algorithms = (algorithm,)
    town.provider.registrar.habits.nonce_age = 0.0
    await refresh_now(town, phone)
    await town.provider.registrar.requests.count(3)
    town.provider.registrar.habits.nonce_age = 300.0
    await town.provider.registrar.accepted.count(2)


async def test_an_ha1_is_enough(town: Town) -> None:
    digest = ha1(Algorithm.MD5, "alice", town.provider.domain, "secret")
    given = account(town)
    del given["password"]
    given["ha1"] = [{"realm": town.provider.domain, "algorithm": "MD5", "ha1": digest}]
    await town.state(await enabled(town, given), "registered")


async def test_k11_an_ha1_for_another_realm_is_not_sent(town: Town) -> None:
    given = account(town)
    del given["password"]
    given["ha1"] = [{"realm": "elsewhere.example", "ha1": "ab" * 16}]
    phone = await enabled(town, given)
    stands = await town.state(phone, "unauthorized")
    assert stands["reason"] == "needs_credentials"
    assert answered(town) == []
    await town.pushed(phone, "expiring")
    pushed = [sipis_of(it.data)["event"] for it in town.stage.fcm.pushes.items]
    assert pushed.count("expiring") == 1


class TestAnotherAccount:
    """PUT with an account."""

    async def test_takes_the_place_of_the_old_at_the_provider(self, town: Town) -> None:
        phone = await town.asleep()
        await replaced(phone, account=account(town, "bob"))
        await town.bound(1, "bob")
        await town.bound(0, "alice")
        await town.state(phone, "registered")
        caller, _ = await town.talk(phone, "bob")
        assert (await caller.bye()).status == 200

    async def test_is_silent_at_the_old_provider_in_a_takeover(self, town: Town) -> None:
        phone = await town.asleep(mode="takeover")
        await replaced(phone, account=account(town, "bob"))
        await town.bound(1, "bob")
        assert len(town.provider.registrar.bindings("alice")) == 1
        assert not [one for one in sent(town) if one.expires == 0]

    async def test_with_the_same_address_replaces_the_binding(self, town: Town) -> None:
        phone = await town.asleep()
        before = town.provider.registrar.bindings("alice")[0].contact
        seen = len(town.provider.registrar.accepted.items)
        await replaced(phone, account=account(town))
        await town.provider.registrar.accepted.count(seen + 1)
        [after] = town.provider.registrar.bindings("alice")
        assert str(after.contact.uri) == str(before.uri)

    async def test_that_cannot_be_used_leaves_the_old(self, town: Town) -> None:
        phone = await town.asleep()
        answer = await phone.here("PUT", "", {"account": account(town, registrar="sip:10.0.0.1")})
        assert (answer.status, answer.body["field"]) == (422, "account.registrar")
        await town.state(phone, "registered")
        caller, _ = await town.talk(phone)
        assert (await caller.bye()).status == 200


async def test_a_restart_registers_again_what_was_on_a_connection(town: Town) -> None:
    tcp = town.provider.address(Transport.TCP)
    phone = await town.asleep(account={"registrar": tcp})
    seen = len(town.provider.registrar.accepted.items)
    await town.stop()
    await town.serve()
    await town.provider.registrar.accepted.count(seen + 1)
    assert str(phone.instance["instance"])
    [binding] = town.provider.registrar.bindings("alice")
    assert binding.flow.transport is Transport.TCP
