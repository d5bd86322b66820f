"""The story of a deletion and its proof comes true, and a forged proof ends it."""

import pytest

from sipis import audit_demo
from tests.support.stories import told

pytestmark = pytest.mark.timeout(60)


async def test_it_plants_deletes_rolls_proves_with_openssl_alone_and_catches_a_forger() -> None:
    code, screen = await told(audit_demo.tell_of_deletion)
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
    code, screen = await told(audit_demo.tell_of_deletion)
    assert code == 1
    assert "the forged receipt was accepted" in screen
