import pytest

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import MediaType


def test_a_media_type_compares_without_case_and_leaves_as_written() -> None:
    kind = MediaType.parse('Multipart / Mixed ; boundary="a;b"')
    assert kind.essence == "multipart/mixed"
    assert kind.params.get("boundary") == "a;b"
    assert str(kind) == 'Multipart/Mixed;boundary="a;b"'


@pytest.mark.parametrize("text", ["", "text", "text/", "/plain", "a/b/c", "a b/c"])
def test_a_broken_media_type_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        MediaType.parse(text)
