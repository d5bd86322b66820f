"""So many of something for each source."""

from hypothesis import given
from hypothesis import strategies as st

from sipis.transport.quota import Quota

HOSTS = (
    "192.0.2.1",
    "192.0.2.2",
    "::ffff:192.0.2.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:1::1",
)
SOURCES = (0, 1, 0, 2, 2, 3)
"""Which of the hosts are one source."""


@given(st.lists(st.tuples(st.integers(0, len(HOSTS) - 1), st.booleans())), st.integers(1, 4))
def test_a_source_holds_what_it_took_and_did_not_give_back_and_never_more(
    steps: list[tuple[int, bool]], most: int
) -> None:
    quota, held = Quota(most), [0] * 4
    for host, takes in steps:
        source = SOURCES[host]
        if takes:
            assert quota.take(HOSTS[host]) == (held[source] < most)
            held[source] = min(held[source] + 1, most)
        elif held[source]:
            quota.give_back(HOSTS[host])
            held[source] -= 1


def test_a_source_that_has_given_all_back_leaves_no_trace() -> None:
    quota = Quota(2)
    for n in range(100):
        assert quota.take(f"192.0.2.{n}")
        quota.give_back(f"192.0.2.{n}")
    assert not quota._taken


def test_a_source_that_gets_nothing_leaves_no_trace() -> None:
    quota = Quota(0)
    assert not quota.take("192.0.2.1")
    assert not quota._taken
