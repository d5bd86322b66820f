"""What was taken in lately."""

from sipis.relay.recent import Recent


def test_a_repeat_is_known_until_its_time_is_over() -> None:
    recent = Recent(60.0)
    recent.note(1, b"hash", 100.0)
    assert recent.has(1, b"hash", 159.9)
    assert not recent.has(1, b"hash", 160.0)


def test_instances_do_not_share_what_they_had() -> None:
    recent = Recent()
    recent.note(1, b"hash", 0.0)
    assert not recent.has(2, b"hash", 1.0)


def test_the_oldest_is_forgotten_when_there_are_too_many() -> None:
    recent = Recent(most_remembered=2)
    for number, name in enumerate([b"a", b"b", b"a", b"c"]):
        recent.note(1, name, float(number))
    assert [recent.has(1, name, 4.0) for name in (b"a", b"b", b"c")] == [True, False, True]
