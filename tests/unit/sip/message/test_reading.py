from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.limits import MAX_DATAGRAM, MAX_HEADER_LINE, MAX_HEADERS
from sipis.sip.message import Message, Request, Response, parse_message, salvage_request

TORTURE = Path(__file__).parents[3] / "data" / "rfc4475"

HEAD = (
    b"Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
    b"Call-ID: abc\r\nCSeq: 7 OPTIONS\r\n"
)
START = b"OPTIONS sip:b@x SIP/2.0\r\n"


def read_request(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def refusal(data: bytes, **limit: int) -> int:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_message(data, **limit)
    return caught.value.status_hint


def touch_every_header(message: Message) -> None:
    _ = message.vias, message.from_, message.to, message.call_id, message.cseq
    _ = message.contacts, message.routes, message.record_routes, message.max_forwards
    _ = message.expires, message.content_type, message.supported, message.require


class TestRequests:
    def test_an_untouched_message_leaves_byte_for_byte(self) -> None:
        data = (
            b"OPTIONS sip:b%40x@x;Lr?a=b SIP/2.0\r\nvIA :SIP/2.0/UDP a;branch=z9hG4bK1  \r\n"
            b"f:<sip:a@x>;TAG=1\r\nTo:\t<sip:b@x>\r\nSubject: a\r\n  folded\r\n\tline\r\n"
            b"X-Latin: \xe4\xff\r\nX-Utf: \xc3\xa4\r\nX-Empty:\r\ni: abc\r\nCSeq: 0007  OPTIONS\r\n"
            b"L : 3\r\n\r\n\xff\x00\r"
        )
        request = read_request(data)
        touch_every_header(request)
        assert request.to_bytes() == data
        assert request.headers.get("subject") == "a folded line"

    def test_bytes_that_are_no_utf8_survive_a_copy_into_a_new_message(self) -> None:
        request = read_request(START + HEAD + b"Subject: \xe4\xff\r\n\r\n")
        subject = request.headers.get("Subject")
        assert subject is not None
        relayed = Request.build("OPTIONS", "sip:c@x", [("Subject", subject)])
        assert b"Subject: \xe4\xff\r\n" in relayed.to_bytes()

    def test_line_breaks_before_the_message_are_skipped(self) -> None:
        assert read_request(b"\r\n\r\n" + START + HEAD + b"\r\n").method == "OPTIONS"

    def test_a_body_is_cut_to_its_length(self) -> None:
        assert read_request(START + HEAD + b"l: 2\r\n\r\nhello").body == b"he"

    def test_without_a_length_the_rest_of_the_datagram_is_the_body(self) -> None:
        assert read_request(START + HEAD + b"\r\nhello").body == b"hello"

    @pytest.mark.parametrize("length", [b"3", b"-1", b"x", b"", b"1, 1", b"9" * 5000])
    def test_a_length_that_the_body_does_not_fill_owes_400(self, length: bytes) -> None:
        assert refusal(START + HEAD + b"Content-Length: " + length + b"\r\n\r\nhi") == 400

    @pytest.mark.parametrize("name", [b"Via", b"From", b"To", b"Call-ID", b"CSeq"])
    def test_a_missing_mandatory_header_owes_400(self, name: bytes) -> None:
        head = HEAD.replace(name + b":", b"X-Other:")
        assert refusal(START + head + b"\r\n") == 400

    @pytest.mark.parametrize(
        "line",
        [
            b"f: <sip:a@x>",
            b"To: <sip:b@x>",
            b"i: abc",
            b"CSeq: 7 OPTIONS",
            b"Max-Forwards: 70\r\nMax-Forwards: 70",
            b"l: 0\r\nContent-Length: 0",
        ],
    )
    def test_a_single_header_that_comes_twice_owes_400(self, line: bytes) -> None:
        assert refusal(START + HEAD + line + b"\r\n\r\n") == 400

    @pytest.mark.parametrize(
        ("start", "owed"),
        [
            (b"INVITE sip:b@x SIP/2.0", 400),
            (b"options sip:b@x SIP/2.0", 400),
            (b"OPTIONS sip:b@x SIP/7.0", 505),
            (b"OPTIONS sip:b@x SIP/2.1", 505),
            (b"OPTIONS sip:b@x HTTP/1.1", 400),
            (b"OPTIONS sip:b@x", 400),
            (b"OPTIONS  sip:b@x SIP/2.0", 400),
            (b"OPTIONS sip:b@x SIP/2.0 ", 400),
            (b"OPTIONS <sip:b@x> SIP/2.0", 400),
            (b"OPTIONS sip:b@x:70000 SIP/2.0", 400),
            (b"OPT/ONS sip:b@x SIP/2.0", 400),
        ],
    )
    def test_a_bad_request_line_owes_its_status(self, start: bytes, owed: int) -> None:
        assert refusal(start + b"\r\n" + HEAD + b"\r\n") == owed

    def test_the_case_of_the_version_is_free(self) -> None:
        assert read_request(b"OPTIONS sip:b@x sip/2.0\r\n" + HEAD + b"\r\n").method == "OPTIONS"

    @pytest.mark.parametrize("line", [b"X: a\nb", b"X: a\rb", b"X: \0", b"no colon", b" X: 1"])
    def test_a_broken_line_owes_400(self, line: bytes) -> None:
        assert refusal(START + line + b"\r\n" + HEAD + b"\r\n") == 400

    def test_a_message_without_its_empty_line_owes_400(self) -> None:
        assert refusal(START + HEAD) == 400


class TestLimits:
    def test_an_oversize_message_owes_513(self) -> None:
        data = START + HEAD + b"\r\n" + b"x" * MAX_DATAGRAM
        assert refusal(data, limit=MAX_DATAGRAM) == 513
        assert read_request(data).body == b"x" * MAX_DATAGRAM

    def test_as_many_headers_as_allowed_pass_and_one_more_owes_400(self) -> None:
        fill = b"X: 1\r\n" * (MAX_HEADERS - 5)
        assert len(read_request(START + HEAD + fill + b"\r\n").headers) == MAX_HEADERS
        assert refusal(START + HEAD + fill + b"X: 1\r\n\r\n") == 400

    def test_a_line_of_the_limit_passes_and_a_longer_one_owes_400(self) -> None:
        line = b"X: " + b"a" * (MAX_HEADER_LINE - 3)
        assert read_request(START + HEAD + line + b"\r\n\r\n").method == "OPTIONS"
        assert refusal(START + HEAD + line + b"a\r\n\r\n") == 400


def read_and_touch(read: Callable[[bytes], Message | None], data: bytes) -> None:
    try:
        message = read(data)
        if message is not None:
            touch_every_header(message)
    except RemoteProtocolError:
        return


class TestResponses:
    def test_status_and_phrase_are_read(self) -> None:
        response = parse_message(b"SIP/2.0 183 In the \xff Making\r\n" + HEAD + b"\r\n")
        assert isinstance(response, Response)
        assert (response.status, response.reason) == (183, "In the \udcff Making")
        assert response.to_bytes().startswith(b"SIP/2.0 183 In the \xff Making\r\n")

    @pytest.mark.parametrize("start", [b"SIP/2.0 200", b"SIP/2.0 200 ", b"sip/2.0 200 "])
    def test_a_missing_phrase_is_forgiven(self, start: bytes) -> None:
        response = parse_message(start + b"\r\n" + HEAD + b"\r\n")
        assert isinstance(response, Response)
        assert (response.status, response.reason) == (200, "")

    def test_missing_and_doubled_headers_are_forgiven(self) -> None:
        response = parse_message(b"SIP/2.0 200 OK\r\nTo: <sip:b@x>\r\nTo: <sip:c@x>\r\n\r\n")
        assert str(response.to.uri) == "sip:b@x"

    @pytest.mark.parametrize(
        "start", [b"SIP/3.0 200 OK", b"SIP/2.0 99 x", b"SIP/2.0 700 x", b"SIP/2.0 4294967301 x"]
    )
    def test_a_bad_status_line_is_owed_nothing(self, start: bytes) -> None:
        assert refusal(start + b"\r\n" + HEAD + b"\r\n") == 0

    def test_a_response_cut_short_is_owed_nothing(self) -> None:
        assert refusal(b"SIP/2.0 200 OK\r\n" + HEAD + b"l: 5\r\n\r\nhi") == 0


class TestSalvage:
    def test_a_refused_request_can_still_be_answered(self) -> None:
        data = b"OPTIONS sip:b@x SIP/7.0 \r\nno colon\r\nX: a\nb\r\n" + HEAD.replace(b"7", b"x")
        request = salvage_request(data)
        assert request is not None
        assert request.via.branch == "z9hG4bK1"
        assert request.headers.get("CSeq") == "x OPTIONS"
        assert "X" not in request.headers

    @pytest.mark.parametrize(
        "data",
        [
            b"ACK sip:b@x SIP/2.0\r\n" + HEAD + b"\r\n",
            b"SIP/2.0 999 x\r\n" + HEAD + b"\r\n",
            START + HEAD.replace(b"Via:", b"X:") + b"\r\n",
            START + HEAD.replace(b"UDP a;", b"UDP ;") + b"\r\n",
            b"",
            b"\r\n\r\n",
            b"\xff\x00\r\n\r\n",
        ],
    )
    def test_what_cannot_be_answered_is_not_salvaged(self, data: bytes) -> None:
        assert salvage_request(data) is None


OWED = {"badvers": 505, "bigcode": 0}

SOUND = [
    "badbranch",
    "baddate",
    "bcast",
    "bext01",
    "cparam01",
    "cparam02",
    "dblreq",
    "esc01",
    "esc02",
    "escnull",
    "escruri",
    "intmeth",
    "inv2543",
    "invut",
    "longreq",
    "lwsdisp",
    "mpart01",
    "noreason",
    "novelsc",
    "regaut01",
    "regescrt",
    "sdp01",
    "semiuri",
    "transports",
    "unkscm",
    "unksm2",
    "unreason",
    "wsinv",
    "zeromf",
]
"""Messages of RFC 4475 whose syntax holds; what else is wrong is for the stack to find."""

BROKEN = [
    "badaspec",
    "baddn",
    "badinv01",
    "badvers",
    "bigcode",
    "clerr",
    "insuf",
    "ltgtruri",
    "lwsruri",
    "lwsstart",
    "mcl01",
    "mismatch01",
    "mismatch02",
    "multi01",
    "ncl",
    "quotbal",
    "scalar02",
    "test",
    "trws",
]

BROKEN_IN_ONE_HEADER = {"regbadct": "contacts", "scalarlg": "cseq"}


def torture(name: str) -> bytes:
    return (TORTURE / f"{name}.dat").read_bytes()


class TestTorture:
    def test_every_message_of_the_archive_is_judged(self) -> None:
        names = {path.stem for path in TORTURE.glob("*.dat")}
        assert names == {*SOUND, *BROKEN, *BROKEN_IN_ONE_HEADER}

    @pytest.mark.parametrize("name", SOUND)
    def test_a_sound_message_reads_whole_and_leaves_unchanged(self, name: str) -> None:
        data = torture(name)
        message = parse_message(data)
        touch_every_header(message)
        head = data.partition(b"\r\n\r\n")[0]
        assert message.to_bytes().startswith(head + b"\r\n")

    @pytest.mark.parametrize("name", BROKEN)
    def test_a_broken_message_is_refused_with_its_status(self, name: str) -> None:
        assert refusal(torture(name)) == OWED.get(name, 400)

    @pytest.mark.parametrize(("name", "field"), BROKEN_IN_ONE_HEADER.items())
    def test_a_broken_header_shows_when_asked_for(self, name: str, field: str) -> None:
        message = parse_message(torture(name))
        with pytest.raises(RemoteProtocolError):
            getattr(message, field)

    def test_the_core_of_the_tortuous_invite_is_understood(self) -> None:
        request = read_request(torture("wsinv"))
        assert request.to.tag == "1918181833n"
        assert request.from_.display == 'J Rosenberg \\"'
        assert request.from_.tag == "98asjd8"
        assert request.max_forwards == 68
        assert request.call_id == "wsinv.ndaksdj@192.0.2.1"
        assert (request.cseq.number, request.cseq.method) == (9, "INVITE")
        assert [via.branch for via in request.vias] == [
            "390skdjuw",
            "z9hG4bK9ikj8",
            "z9hG4bK30239",
        ]
        assert len(request.body) == 150

    def test_semicolons_in_a_user_part_belong_to_the_user(self) -> None:
        uri = read_request(torture("semiuri")).uri
        assert getattr(uri, "user", None) == "user;par=u%40example.net"


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_read_or_blamed_on_the_peer(data: bytes) -> None:
    read_and_touch(parse_message, data)
    read_and_touch(salvage_request, data)


@given(
    st.sampled_from([START, b"SIP/2.0 200 OK\r\n"]),
    st.sampled_from(HEAD.splitlines(keepends=True)),
    st.binary(max_size=60),
)
def test_arbitrary_bytes_amid_sound_headers_are_read_or_blamed_on_the_peer(
    start: bytes, line: bytes, noise: bytes
) -> None:
    name = line.partition(b":")[0]
    data = start + HEAD.replace(line, name + b": " + noise + b"\r\n") + b"Contact: " + noise
    for read in (parse_message, salvage_request):
        read_and_touch(read, data + b"\r\n\r\n" + noise)
