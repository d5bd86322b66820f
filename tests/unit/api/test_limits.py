"""The rate limit of one source."""

from sipis.api.limits import MOST_SOURCES, RateLimit
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


def test_the_table_of_sources_never_grows_beyond_its_limit() -> None:
    limit = RateLimit(ManualClock(), per_minute=1)
    for number in range(MOST_SOURCES + 10):
        limit.wait_for(str(number))
    assert limit.wait_for("0") == 0
