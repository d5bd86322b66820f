"""What a message tells when asked: parts of its headers, each read once and then kept.

A part stands in the class of the message as a property would. Refuses to hold values itself:
they live with the headers, which forget what is read of a header that changes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from sipis.errors import RemoteProtocolError
from sipis.sip.message.fields import Headers

T = TypeVar("T")
V = TypeVar("V")

_UNREAD: Final = object()


class Bearer(Protocol):
    """What has headers."""

    headers: Headers


class _Part(ABC, Generic[T, V]):
    """What `read` makes of values of one header, its name in lower case and long."""

    def __init__(self, header: str, read: Callable[[str], V]) -> None:
        self.header = header
        self._read = read

    def __get__(self, message: Bearer, _: type[object]) -> T:
        kept = message.headers.kept
        value: T = kept.get(self, _UNREAD)
        if value is _UNREAD:
            value = kept[self] = self._read_from(message.headers)
        return value

    @abstractmethod
    def _read_from(self, headers: Headers) -> T:
        """Read it; raises what the reader raises."""


class Mandatory(_Part[V, V]):
    """The first value; RemoteProtocolError when there is none."""

    def _read_from(self, headers: Headers) -> V:
        text = headers.first(self.header)
        if text is None:
            raise RemoteProtocolError(f"no {self.header} header")
        return self._read(text)


class IfPresent(_Part[V | None, V]):
    """The first value; None when there is none."""

    def _read_from(self, headers: Headers) -> V | None:
        text = headers.first(self.header)
        return None if text is None else self._read(text)


class Every(_Part[tuple[V, ...], V]):
    """Every single value, out of comma lists and lines; none is fine."""

    def _read_from(self, headers: Headers) -> tuple[V, ...]:
        return tuple([self._read(value) for value in headers.get_list(self.header)])
