from collections.abc import Callable

import pytest

from sipis.sip.keys import ack_key, client_key, merge_key, response_key, server_key
from sipis.sip.message import Request, response_to

Make = Callable[..., Request]


def test_a_response_has_the_key_of_its_request(make_request: Make) -> None:
    response = response_to(make_request("REGISTER"), 200, to_tag="x")
    assert response_key(response) == client_key("z9hG4bKone", "REGISTER")


def test_the_response_to_a_cancel_is_not_taken_for_one_to_its_invite(make_request: Make) -> None:
    invited = response_to(make_request("INVITE"), 200, to_tag="x")
    cancelled = response_to(make_request("CANCEL"), 200, to_tag="x")
    assert response_key(invited) != response_key(cancelled)


def test_a_response_without_branch_has_a_key_that_matches_nothing(make_request: Make) -> None:
    response = response_to(make_request("REGISTER", branch=None), 200)
    assert response_key(response) == " REGISTER"


def test_branch_and_sent_by_make_the_key_of_a_request(make_request: Make) -> None:
    known = server_key(make_request())
    assert known == server_key(make_request(uri="sip:other@192.0.2.9", call_id="other"))
    assert known != server_key(make_request(branch="z9hG4bKtwo"))
    assert known != server_key(make_request(sent_by="192.0.2.2:5060"))
    assert known != server_key(make_request(sent_by="192.0.2.1"))
    assert known != server_key(make_request("OPTIONS"))


def test_host_names_in_sent_by_compare_without_case(make_request: Make) -> None:
    assert server_key(make_request(sent_by="PC.Example.com")) == server_key(
        make_request(sent_by="pc.example.com")
    )


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
@pytest.mark.parametrize("branch", ["z9hG4bKone", "old-style", None, "z9hG4bK"])
def test_ack_and_cancel_have_the_key_of_their_invite(
    make_request: Make, method: str, branch: str | None
) -> None:
    later = make_request(method, branch=branch, to_tag="ours")
    assert server_key(later) == server_key(make_request(branch=branch))


@pytest.mark.parametrize("branch", ["old-style", None, "z9hG4bK"])
@pytest.mark.parametrize(
    "difference",
    [{"uri": "sip:other@192.0.2.9"}, {"from_tag": "b"}, {"call_id": "b"}, {"cseq": 2}],
)
def test_without_a_unique_branch_the_headers_make_the_key(
    make_request: Make, branch: str | None, difference: dict[str, object]
) -> None:
    known = server_key(make_request(branch=branch))
    assert known == server_key(make_request(branch=branch))
    assert known != server_key(make_request(branch=branch, **difference))


def test_without_a_unique_branch_the_to_tag_tells_requests_other_than_invite_apart(
    make_request: Make,
) -> None:
    assert server_key(make_request("BYE", branch=None, to_tag="a")) != server_key(
        make_request("BYE", branch=None, to_tag="b")
    )


def test_copies_of_a_request_on_other_ways_have_one_merge_key(make_request: Make) -> None:
    copy = make_request(branch="z9hG4bKtwo", sent_by="192.0.2.2")
    assert merge_key(make_request(), "i") == merge_key(copy, "i")


@pytest.mark.parametrize("difference", [{"from_tag": "b"}, {"call_id": "b"}, {"cseq": 2}])
def test_other_requests_have_other_merge_keys(
    make_request: Make, difference: dict[str, object]
) -> None:
    assert merge_key(make_request(), "i") != merge_key(make_request(**difference), "i")


def test_forks_to_two_instances_have_two_merge_keys(make_request: Make) -> None:
    assert merge_key(make_request(), "one") != merge_key(make_request(), "two")


def test_a_2xx_and_its_ack_share_a_key_whatever_their_branches(make_request: Make) -> None:
    accepted = response_to(make_request(), 200, to_tag="ours")
    ack = make_request("ACK", branch="z9hG4bKfresh", to_tag="ours")
    assert ack_key(accepted) == ack_key(ack)
    assert ack_key(accepted) != ack_key(make_request("ACK", to_tag="another"))
    assert ack_key(accepted) != ack_key(make_request("ACK", to_tag="ours", cseq=2))
