"""The life of an instance over the API of a whole server: how it begins, changes and ends."""

import math
from datetime import datetime
from typing import Any

import pytest

from sipis.store import targets
from sipis.world.behaviour import Reply
from sipis.world.handset import Answer, Handset, Temper
from sipis.world.registrar import Refusal
from tests.scenarios.conftest import APP, Town
from tests.support.life import OtherClock, row_of, serve_by

pytestmark = pytest.mark.timeout(30)
HOUR = 3600
DAY = 24 * HOUR


def seconds(text: object) -> float:
    """An RFC 3339 time of the API as Unix seconds."""
    return datetime.fromisoformat(str(text)).timestamp()


def account(town: Town, user: str = "alice") -> dict[str, object]:
    aor = town.provider.add(user, f"password of {user}")
    return {"aor": aor, "password": f"password of {user}", "registrar": town.provider.address()}


async def ordered(phone: Handset, key: str, given: dict[str, object], **more: Any) -> Answer:
    """POST /v1/instances under an Idempotency-Key."""
    assert phone._http is not None
    target = {"provider": "fcm", "kind": "token", "token": phone.push_token}
    body = {"app_id": APP, "account": given, "targets": [target], **more}
    headers = {"Authorization": f"Bearer {phone._app_key}", "Idempotency-Key": key}
    async with phone._http.post(
        f"{phone._api}/v1/instances", json=body, headers=headers
    ) as response:
        answer = Answer(response.status, await response.json(content_type=None))
    if answer.status == 201:
        phone.instance = answer.body
    return answer


async def receipt_of(phone: Handset) -> Answer:
    opening = phone.instance["receipt"]
    assert isinstance(opening, dict)
    return await phone.http("GET", f"/v1/receipts/{opening['commitment']}")


async def ended(phone: Handset) -> str:
    """Wait until the instance is destroyed; returns the reason on its receipt."""
    receipt = await receipt_of(phone)
    while receipt.status != 200:
        receipt = await receipt_of(phone)
    assert (await phone.here("GET")).status == 404
    return str(receipt.body["reason"])


def core(receipt: Answer) -> tuple[object, ...]:
    """What a receipt says; the proof beside it grows with the log."""
    return tuple(receipt.body[key] for key in ("commitment", "reason", "destroyed_at"))


class TestRepeatedOrders:
    """The same POST twice, as a phone with a bad connection sends it."""

    async def test_give_one_instance_a_fresh_secret_and_end_the_old_one(self, town: Town) -> None:
        phone = await town.phone()
        first = (await ordered(phone, "a-key", account(town))).body
        again = (await ordered(phone, "a-key", account(town))).body
        assert first["instance"] == again["instance"]
        assert (await phone.here("GET")).status == 200
        phone.instance = first
        assert (await phone.here("GET")).status == 404
        relay, old = again["relay"], first["relay"]
        assert isinstance(relay, dict)
        assert isinstance(old, dict)
        assert relay["password"] != old["password"]

    async def test_for_another_account_are_a_conflict(self, town: Town) -> None:
        phone = await town.phone()
        await ordered(phone, "a-key", account(town))
        answer = await ordered(phone, "a-key", account(town, "bob"))
        assert (answer.status, answer.body["field"]) == (409, "Idempotency-Key")

    async def test_under_other_keys_are_other_instances(self, town: Town) -> None:
        one, other = await town.phone(), await town.phone()
        first = await ordered(one, "a-key", account(town))
        second = await ordered(other, "another-key", account(town))
        assert first.body["instance"] != second.body["instance"]

    async def test_never_revive_what_was_deleted(self, town: Town) -> None:
        phone = await town.phone()
        await ordered(phone, "a-key", account(town))
        await phone.disable()
        answer = await ordered(phone, "a-key", account(town))
        assert (answer.status, answer.body["field"]) == (409, "Idempotency-Key")


async def test_a_new_instance_takes_the_place_of_an_old_one_with_its_token(town: Town) -> None:
    phone = await town.asleep()
    before = dict(phone.instance)
    assert (await phone.enable(account(town))).status == 201
    after, phone.instance = phone.instance, before
    assert await ended(phone) == "replaced"
    phone.instance = after
    await town.state(phone, "registered")
    await town.bound(1)


class TestLifetime:
    """How long an instance lives."""

    @pytest.mark.parametrize(
        ("asked", "granted"), [(None, 5 * DAY), (2 * DAY, 2 * DAY), (400 * DAY, 7 * DAY)]
    )
    async def test_is_what_was_asked_for_within_the_cap(
        self, town: Town, asked: int | None, granted: int
    ) -> None:
        wanted: dict[str, Any] = {} if asked is None else {"ttl": asked}
        phone = await town.asleep(**wanted)
        stands = (await phone.here("GET")).body
        assert phone.instance["ttl"] == stands["ttl"] == granted
        lasts = seconds(stands["expires_at"]) - seconds(stands["created_at"])
        assert math.isclose(lasts, granted, abs_tol=2)

    async def test_begins_anew_with_each_refresh(self, town: Town) -> None:
        phone = await town.asleep(ttl=HOUR)
        before = (await phone.here("GET")).body
        after = (await phone.here("POST", "/refresh", {"ttl": DAY})).body
        assert after["ttl"] == DAY
        assert seconds(after["expires_at"]) - seconds(before["expires_at"]) > 22 * HOUR
        kept = (await phone.here("POST", "/refresh")).body
        assert kept["ttl"] == DAY

    async def test_ends_by_itself_with_a_receipt_and_a_farewell(self, empty_town: Town) -> None:
        # Faster, and the server's patience with a busy machine would be too short for a farewell.
        await serve_by(empty_town, OtherClock(faster=10))
        phone = await empty_town.asleep(ttl=60)
        assert await ended(phone) == "expired"
        while empty_town.provider.registrar.bindings("alice"):
            await empty_town.provider.registrar.accepted.next()
        assert (await phone.disable()).body["reason"] == "expired"
        await empty_town.pushed(phone, "expired")

    async def test_ends_while_the_server_is_down_without_a_packet(self, empty_town: Town) -> None:
        await empty_town.serve()
        phone = await empty_town.asleep(ttl=HOUR)
        await empty_town.stop()
        seen = len(empty_town.provider.registrar.requests.items)
        pushes = len(empty_town.stage.fcm.pushes.items)
        server = await serve_by(empty_town, OtherClock(ahead=2 * HOUR))
        phone._api = f"http://127.0.0.1:{server.api_port}"
        assert await ended(phone) == "expired"
        other = await empty_town.phone()
        await other.enable(account(empty_town, "bob"))
        await empty_town.state(other, "registered")
        said = empty_town.provider.registrar.requests.items[seen:]
        assert not [one for one in said if "alice" in str(one.to)]
        told = empty_town.stage.fcm.pushes.items[pushes:]
        assert phone.push_token not in {one.target for one in told}

    async def test_is_short_for_an_account_that_no_provider_takes(self, empty_town: Town) -> None:
        await serve_by(empty_town, OtherClock(faster=30), policy={"never_registered": 60})
        empty_town.provider.registrar.habits.refusals.extend([Refusal(403)] * 100)
        phone = await empty_town.phone(Temper.IGNORE)
        await phone.enable(account(empty_town))
        assert await ended(phone) == "never_registered"


class TestDeletion:
    """DELETE and what is left of it."""

    async def test_answers_a_repetition_with_the_same_receipt(self, town: Town) -> None:
        phone = await town.asleep()
        first, again = await phone.disable(), await phone.disable()
        assert first.status == again.status == 200
        assert core(first) == core(again) == core(await receipt_of(phone))
        assert first.body["reason"] == "disabled"

    async def test_wants_the_secret_for_the_repetition_too(self, town: Town) -> None:
        phone = await town.asleep()
        await phone.disable()
        phone.instance = {**phone.instance, "secret": "0" * 64}
        assert (await phone.disable()).status == 404

    async def test_leaves_nothing_to_ask_for(self, town: Town) -> None:
        phone = await town.asleep()
        await phone.disable()
        for method, path in (("GET", ""), ("PUT", ""), ("POST", "/refresh"), ("GET", "/export"),
                             ("POST", "/foreground"), ("GET", "/calls"), ("GET", "/messages"),
                             ("POST", "/push-test")):  # fmt: skip
            body: object = {} if method in {"PUT", "POST"} else None
            assert (await phone.here(method, path, body)).status == 404, path

    async def test_gives_a_late_call_480_instead_of_silence(self, town: Town) -> None:
        phone = await town.asleep()
        [binding] = town.provider.registrar.bindings("alice")
        await phone.disable()
        late = town.provider.call("alice", binding=binding)
        assert (await late.final).status == 480

    async def test_outlives_a_restart(self, town: Town) -> None:
        phone = await town.asleep()
        receipt = await phone.disable()
        await town.stop()
        server = await town.serve()
        phone._api = f"http://127.0.0.1:{server.api_port}"
        assert core(await phone.disable()) == core(receipt)

    async def test_comes_from_a_dead_token(self, town: Town) -> None:
        phone = await town.asleep()
        town.stage.fcm.script.add(phone.push_token, Reply(404, "UNREGISTERED"))
        assert (await phone.here("POST", "/push-test")).status == 200
        assert await ended(phone) == "push_gone"


async def test_the_environment_in_which_a_token_works_is_remembered(town: Town) -> None:
    phone = await town.phone(token="ab" * 32)
    target = {"provider": "apns", "kind": "alert", "token": phone.push_token,
              "environment": "production"}  # fmt: skip
    town.stage.apns.script.add(phone.push_token, Reply(400, "BadDeviceToken"))
    await phone.enable(account(town), targets=[target])
    await town.stage.apns.pushes.count(2)
    environment = await environment_of(town, phone)
    while environment != "sandbox":
        environment = await environment_of(town, phone)


async def environment_of(town: Town, phone: Handset) -> object:
    """Where the next push to the phone's only token will go."""
    assert town.server is not None
    row = await row_of(town, phone)
    [target] = await town.server._ground.store.read(targets.list_for, row.n)
    return target.environment
