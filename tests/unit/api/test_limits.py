"""The rate limit of one source."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from sipis.api.limits import MOST_SOURCES, RateLimit, named_by_proxy, peer
from sipis.clock import ManualClock


async def test_a_source_that_used_its_minute_waits_for_the_next_token() -> None:
    clock = ManualClock()
    limit = RateLimit(clock, per_minute=60)
    assert all(limit.wait_for("a") == 0 for _ in range(60))
    assert 0 < limit.wait_for("a") <= 1
    await clock.advance(1)
    assert limit.wait_for("a") == 0


def test_sources_do_not_share_tokens() -> None:
    limit = RateLimit(ManualClock(), per_minute=1)
    assert limit.wait_for("a") == 0
    assert limit.wait_for("a") > 0
    assert limit.wait_for("b") == 0


def test_the_addresses_of_a_network_of_ipv6_are_one_source() -> None:
    limit = RateLimit(ManualClock(), per_minute=1)
    assert limit.wait_for("2600::1") == 0
    assert limit.wait_for("2600::2") > 0
    assert limit.wait_for("2600:0:0:1::1") == 0


async def test_a_source_that_did_nothing_for_a_minute_is_forgotten() -> None:
    clock = ManualClock()
    limit = RateLimit(clock, per_minute=1)
    for source, after in (("a", 0), ("b", 30), ("c", 30)):
        await clock.advance(after)
        limit.wait_for(source)
    assert list(limit._buckets) == ["b", "c"]
    assert limit.wait_for("b") > 0


def test_the_table_of_sources_never_grows_beyond_its_limit() -> None:
    limit = RateLimit(ManualClock(), per_minute=1)
    for number in range(MOST_SOURCES + 10):
        limit.wait_for(str(number))
    assert limit.wait_for("0") == 0


def asked(*forwarded: str) -> str:
    """As whom a request with these headers is counted behind a proxy."""
    headers = [("X-Forwarded-For", text) for text in forwarded]
    request = make_mocked_request("GET", "/", headers=CIMultiDict(headers))
    return "the proxy" if named_by_proxy(request) == peer(request) else named_by_proxy(request)


@pytest.mark.parametrize(
    ("forwarded", "source"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["10.0.0.1, 203.0.113.7"], "203.0.113.7"),
        (["10.0.0.1", "198.51.100.2,2001:DB8::7"], "2001:db8::7"),
        ([], "the proxy"),
        ([""], "the proxy"),
        (["203.0.113.7, unknown"], "the proxy"),
    ],
)
def test_behind_a_proxy_the_address_that_it_saw_counts_and_nothing_that_the_client_says(
    forwarded: list[str], source: str
) -> None:
    assert asked(*forwarded) == source
