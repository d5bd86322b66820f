"""The story of a deletion and its proof comes true, and a forged proof ends it."""

import io
from collections.abc import Iterator

import pytest
import structlog
from rich.console import Console

from sipis import audit_demo

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


async def told() -> tuple[int, str]:
    """The exit code and the screen."""
    screen = io.StringIO()
    code = await audit_demo.tell_of_deletion(Console(file=screen, width=200))
    return code, screen.getvalue()


async def test_it_plants_deletes_rolls_proves_with_openssl_alone_and_catches_a_forger() -> None:
    code, screen = await told()
    assert code == 0, screen
    steps = ["an app hands over", "DELETE answers", "is in no file", "was rolled", "receipt holds",
             "openssl pkeyutl", "Signature Verified", "everything holds", "changes one byte",
             "NOT PROVEN", "the forger was caught"]  # fmt: skip
    places = [screen.index(step) for step in steps]
    assert places == sorted(places)
    assert audit_demo.MARKER not in screen


async def test_a_verifier_that_accepts_everything_is_a_broken_story(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_demo.Auditor, "verify", lambda *_: True)
    code, screen = await told()
    assert code == 1
    assert "the forged receipt was accepted" in screen
