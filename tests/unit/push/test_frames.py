from itertools import pairwise

from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame, SettingsFrame
from hypothesis import given
from hypothesis import strategies as st

from sipis.push.frames import Goaway, GoawayFilter

FRAMES = st.one_of(
    st.builds(lambda data: DataFrame(1, data), st.binary(max_size=300)),
    st.just(PingFrame(0, b"12345678")),
    st.just(SettingsFrame(0)),
    st.builds(
        lambda last, code, debug: GoAwayFrame(0, last, code, debug),
        st.integers(0, 2**31 - 1),
        st.integers(0, 13),
        st.binary(max_size=60),
    ),
)


def run(data: bytes, cuts: list[int]) -> tuple[bytes, list[Goaway]]:
    sieve, passed, found = GoawayFilter(), b"", []
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        clean, goaways = sieve.feed(data[start:end])
        passed += clean
        found += goaways
    return passed, found


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 5000), max_size=12))
def test_goaways_are_taken_out_and_all_else_passes_however_the_stream_is_cut(
    frames: list[Frame], cuts: list[int]
) -> None:
    passed, found = run(b"".join(frame.serialize() for frame in frames), cuts)
    others = [frame for frame in frames if not isinstance(frame, GoAwayFrame)]
    assert passed == b"".join(frame.serialize() for frame in others)
    assert found == [
        Goaway(frame.last_stream_id, frame.error_code, frame.additional_data)
        for frame in frames
        if isinstance(frame, GoAwayFrame)
    ]


@given(st.binary(max_size=600), st.lists(st.integers(0, 700), max_size=8))
def test_garbage_is_survived_the_same_way_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert run(data, cuts) == run(data, [])
