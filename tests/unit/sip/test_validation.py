from collections.abc import Callable

import pytest

from sipis.sip.message import Request
from sipis.sip.validation import Fault, fault_of

Make = Callable[..., Request]


def status_of(request: Request) -> int | None:
    fault = fault_of(request)
    return None if fault is None else fault.status


def without_hops(request: Request) -> Request:
    request.headers.set("Max-Forwards", "0")
    return request


def test_a_plain_request_is_without_fault(make_request: Make) -> None:
    assert fault_of(make_request()) is None


@pytest.mark.parametrize("uri", ["tel:+15551234", "urn:service:sos", "http://example.com"])
def test_a_request_uri_that_is_not_sip_is_owed_416(make_request: Make, uri: str) -> None:
    assert status_of(make_request(uri=uri)) == 416


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "REFER"])
def test_a_request_that_would_go_further_without_hops_is_owed_483(
    make_request: Make, method: str
) -> None:
    assert status_of(without_hops(make_request(method))) == 483


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS"])
def test_a_request_that_ends_here_needs_no_hops(make_request: Make, method: str) -> None:
    assert status_of(without_hops(make_request(method))) is None


def test_hops_do_not_bind_inside_dialogs(make_request: Make) -> None:
    assert status_of(without_hops(make_request("BYE", to_tag="ours"))) is None


def test_a_missing_hop_limit_is_no_fault(make_request: Make) -> None:
    request = make_request()
    request.headers.remove("Max-Forwards")
    assert fault_of(request) is None


def test_a_fault_says_why_without_quoting(make_request: Make) -> None:
    fault = fault_of(make_request(uri="tel:+15551234"))
    assert isinstance(fault, Fault)
    assert "5551234" not in fault.problem
