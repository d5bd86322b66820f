"""Token buckets by source."""

from sipis.transport.throttle import Rate, Throttle


def test_a_source_may_burst_and_then_keeps_to_its_rate() -> None:
    throttle = Throttle(Rate(per_second=2, burst=3))
    assert [throttle.admit("8.8.8.8", 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert throttle.admit("8.8.8.8", 0.5)
    assert not throttle.admit("8.8.8.8", 0.6)


def test_refused_messages_cost_no_tokens() -> None:
    throttle = Throttle(Rate(per_second=1, burst=1))
    assert throttle.admit("8.8.8.8", 0.0)
    assert not any(throttle.admit("8.8.8.8", moment / 10) for moment in range(1, 10))
    assert throttle.admit("8.8.8.8", 1.01)


def test_sources_do_not_share_but_a_network_of_ipv6_does() -> None:
    throttle = Throttle(Rate(per_second=1, burst=1))
    assert throttle.admit("8.8.8.8", 0.0)
    assert throttle.admit("8.8.4.4", 0.0)
    assert throttle.admit("2600::1", 0.0)
    assert not throttle.admit("2600::2", 0.0)
    assert throttle.admit("2600:0:0:1::2", 0.0)


def test_hosts_of_ipv4_written_as_ipv6_do_not_share() -> None:
    throttle = Throttle(Rate(per_second=1, burst=1))
    assert throttle.admit("::ffff:8.8.8.8", 0.0)
    assert throttle.admit("::ffff:8.8.4.4", 0.0)
    assert not throttle.admit("8.8.8.8", 0.0)


def test_the_table_is_bounded() -> None:
    throttle = Throttle(Rate(per_second=1, burst=1), most=10)
    for number in range(100):
        throttle.admit(f"8.8.8.{number}", 0.0)
    assert len(throttle._buckets) == 10


def test_a_source_is_forgotten_once_its_bucket_is_full_again_and_not_before() -> None:
    throttle = Throttle(Rate(per_second=1, burst=2))
    assert [throttle.admit("8.8.8.8", 0.0) for _ in range(3)] == [True, True, False]
    throttle.forget_rested(1.0)
    assert [throttle.admit("8.8.8.8", 1.0) for _ in range(2)] == [True, False]
    throttle.admit("8.8.4.4", 2.5)
    throttle.forget_rested(3.0)
    assert list(throttle._buckets) == ["8.8.4.4"]
