"""Counts of voice messages (RFC 3842)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.relay.summary import MOST, new_voice_messages


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"Messages-Waiting: yes\r\nMessage-Account: sip:a@b\r\nVoice-Message: 2/8 (0/2)\r\n", 2),
        (b"messages-waiting:no\r\nvoice-message : 0/3\r\n", 0),
        (b"Messages-Waiting: yes\n", 1),
        (b"Messages-Waiting: no\n", 0),
        (b"Messages-Waiting: yes\r\nFax-Message: 4/0\r\n", 1),
        (b"Voice-Message: 9999999999/0\r\n", MOST),
        (b"X-Voice-Message: 3/0\r\n", None),
        (b"", None),
    ],
)
def test_new_voice_messages_are_counted(body: bytes, count: int | None) -> None:
    assert new_voice_messages(body) == count


@given(st.binary(max_size=4096))
def test_any_body_gives_a_count_or_none(body: bytes) -> None:
    count = new_voice_messages(body)
    assert count is None or 0 <= count <= MOST


@given(st.integers(0, MOST), st.integers(0, MOST))
def test_what_was_written_is_read(new: int, old: int) -> None:
    assert new_voice_messages(b"Voice-Message: %d/%d\r\n" % (new, old)) == new
