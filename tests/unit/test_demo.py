"""The demo's story comes true on any machine, and says so when it does not."""

import pytest

from sipis import demo
from sipis.world.handset import Answer, Handset
from tests.support.stories import told

pytestmark = pytest.mark.timeout(90)


async def test_the_phone_sleeps_is_woken_talks_and_is_forgotten() -> None:
    code, screen = await told(demo.tell)
    assert code == 0, screen
    steps = ["enabled: ", "registered: ", "INVITE: ", "push accepted", "woken: ", "answered: ",
             "BYE: ", "disabled: ", "un-registered: ", "password found in 0 of"]  # fmt: skip
    places = [screen.index(step) for step in steps]
    assert places == sorted(places)
    assert demo.PASSWORD not in screen
    assert int(screen.rpartition("found in 0 of ")[2].split()[0]) >= 8


async def test_a_story_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0.0)
    code, screen = await told(demo.tell)
    assert code == 1
    assert "waited in vain" in screen


async def test_a_story_that_goes_otherwise_names_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> Answer:
        return Answer(503, {})

    monkeypatch.setattr(Handset, "enable", refused)
    code, screen = await told(demo.tell)
    assert code == 1
    assert "POST /v1/instances was answered with 503; the story is broken" in screen
