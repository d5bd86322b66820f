from collections.abc import Callable

import pytest

from sipis.sip.dialog import DialogState
from sipis.sip.forks import MAX_DIALOGS, Forks
from sipis.sip.message import Request, Response, response_to

Make = Callable[..., Request]


@pytest.fixture
def invite(make_request: Make) -> Request:
    return make_request()


def response(invite: Request, status: int, tag: str | None) -> Response:
    made = response_to(invite, status, to_tag=tag)
    made.headers.add("Contact", "<sip:bob@192.0.2.9>")
    return made


def test_each_to_tag_opens_an_early_dialog_of_its_own(invite: Request) -> None:
    forks = Forks(invite)
    one, two = (forks.hear(response(invite, 180, tag)) for tag in ("one", "two"))
    assert one is not None
    assert two is not None
    assert (one.remote_tag, two.remote_tag) == ("one", "two")
    assert forks.hear(response(invite, 183, "one")) is one


@pytest.mark.parametrize(("status", "tag"), [(100, None), (100, "one"), (180, None)])
def test_what_bears_no_tag_or_is_100_opens_nothing(
    invite: Request, status: int, tag: str | None
) -> None:
    forks = Forks(invite)
    assert forks.hear(response(invite, status, tag)) is None
    assert forks.dialogs == {}


def test_a_2xx_confirms_its_dialog_alone(invite: Request) -> None:
    forks = Forks(invite)
    one = forks.hear(response(invite, 180, "one"))
    two = forks.hear(response(invite, 180, "two"))
    assert forks.hear(response(invite, 200, "two")) is two
    assert one is not None
    assert two is not None
    assert (one.state, two.state) == (DialogState.EARLY, DialogState.CONFIRMED)


def test_a_2xx_without_provisional_opens_a_confirmed_dialog(invite: Request) -> None:
    dialog = Forks(invite).hear(response(invite, 200, "one"))
    assert dialog is not None
    assert dialog.state is DialogState.CONFIRMED


def test_a_refusal_ends_the_early_dialogs_and_spares_the_confirmed(invite: Request) -> None:
    forks = Forks(invite, secure=True)
    early = forks.hear(response(invite, 180, "one"))
    confirmed = forks.hear(response(invite, 200, "two"))
    assert forks.hear(response(invite, 486, "three")) is None
    assert early is not None
    assert confirmed is not None
    assert early.state is DialogState.TERMINATED
    assert confirmed.state is DialogState.CONFIRMED
    assert confirmed.secure


def test_a_flood_of_callees_is_cut_off(invite: Request) -> None:
    forks = Forks(invite)
    opened = [forks.hear(response(invite, 180, f"t{n}")) for n in range(MAX_DIALOGS + 3)]
    assert opened[-3:] == [None] * 3
    assert len(forks.dialogs) == MAX_DIALOGS
