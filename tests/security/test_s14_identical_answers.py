"""S14: who holds a wrong secret cannot tell an instance that exists from one that never did."""

import asyncio
import statistics
from collections.abc import Mapping

import pytest

from sipis.world.handset import Handset
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(60)

ROUNDS = 150
NOISE = 0.25
"""Medians may differ by this share of the usual answer's time; an oracle would need less."""

CALLS: tuple[tuple[str, str, object], ...] = (
    ("GET", "", None), ("PUT", "", {"ttl": 3600}), ("DELETE", "", None),
    ("POST", "/refresh", {}), ("POST", "/foreground", {}), ("POST", "/background", None),
    ("POST", "/verify", {"code": "x"}), ("GET", "/export", None), ("GET", "/messages", None),
    ("DELETE", "/messages/1", None), ("GET", "/calls", None), ("GET", "/calls/x", None),
    ("POST", "/calls/x/accept", None), ("POST", "/calls/x/decline", None),
    ("POST", "/push-test", None),
)  # fmt: skip


async def said(
    phone: Handset, method: str, path: str, body: object, bearer: str
) -> tuple[int, Mapping[str, str], bytes]:
    assert phone._http is not None
    headers = {"Authorization": f"Bearer {bearer}"}
    async with phone._http.request(method, phone._api + path, json=body, headers=headers) as answer:
        shown = {name.lower(): value for name, value in answer.headers.items()}
        shown.pop("date", None)
        return answer.status, shown, await answer.read()


async def two_phones(town: Town) -> tuple[Handset, Handset]:
    await town.serve(api={"requests_per_minute": 1_000_000})
    return await town.asleep("alice"), await town.asleep("bob")


async def test_unknown_foreign_and_expired_get_the_same_answer(empty_town: Town) -> None:
    mine, theirs = await two_phones(empty_town)
    gone = await empty_town.asleep("carol")
    assert (await gone.disable()).status == 200
    own, never = str(mine.instance["secret"]), "0" * 32
    for method, path, body in CALLS:
        asked = [(str(theirs.instance["instance"]), own), (never, own), ("no-id", own),
                 (never, ""), (str(theirs.instance["instance"]), "x" * 600),
                 (str(theirs.instance["instance"]), "")]  # fmt: skip
        if method != "DELETE" or path:
            asked.append((str(gone.instance["instance"]), str(gone.instance["secret"])))
        answers = [
            await said(mine, method, f"/v1/instances/{instance}{path}", body, bearer)
            for instance, bearer in asked
        ]
        assert answers[0][0] == 404, (method, path)
        assert all(answer == answers[0] for answer in answers), (method, path)
    assert (await theirs.here("GET")).status == 200


async def test_time_does_not_tell_either(empty_town: Town) -> None:
    mine, theirs = await two_phones(empty_town)
    secret, loop = str(mine.instance["secret"]), asyncio.get_running_loop()
    known, unknown = str(theirs.instance["instance"]), "0" * 32
    times: dict[str, list[float]] = {known: [], unknown: []}
    for _ in range(ROUNDS):
        for instance in (known, unknown):
            began = loop.time()
            await said(mine, "GET", f"/v1/instances/{instance}", None, secret)
            times[instance].append(loop.time() - began)
    medians = [statistics.median(taken) for taken in times.values()]
    assert abs(medians[0] - medians[1]) < NOISE * max(medians)


async def test_an_app_key_that_is_wrong_in_any_way_gets_the_same_answer(town: Town) -> None:
    phone = await town.phone()
    right = phone._app_key
    wrong = [right[:-1], right + "x", right[::-1], "x", "", "x" * 5000, right.upper() + "!"]
    answers = [await said(phone, "POST", "/v1/instances", {}, bearer) for bearer in wrong]
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)
