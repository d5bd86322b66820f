"""Requests that wait for an app to come back."""

from sipis.relay.awaited import MOST_APPS, MOST_EACH, PATIENCE, Awaited
from sipis.sip.flow import Flow


def nothing(_flow: Flow) -> None:
    """Stands for a request."""


def test_what_was_kept_is_owed_once() -> None:
    awaited = Awaited()
    awaited.keep(1, nothing, 0.0)
    assert awaited.take(2, 1.0) == []
    assert awaited.take(1, 1.0) == [nothing]
    assert awaited.take(1, 1.0) == []


def test_what_waited_too_long_is_owed_no_more() -> None:
    awaited = Awaited()
    awaited.keep(1, nothing, 0.0)
    awaited.keep(1, nothing, 1.0)
    assert len(awaited.take(1, PATIENCE)) == 1


def test_neither_one_app_nor_many_pile_up() -> None:
    awaited = Awaited()
    for n in range(MOST_APPS + 1):
        for _ in range(MOST_EACH + 1 if n == MOST_APPS else 1):
            awaited.keep(n, nothing, 0.0)
    assert awaited.take(0, 1.0) == []
    assert len(awaited.take(MOST_APPS, 1.0)) == MOST_EACH
