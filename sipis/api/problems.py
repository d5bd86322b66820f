"""Problem documents (RFC 9457): the one table of what can go wrong for an app.

Refuses to repeat what the caller sent: a problem names the field, never its value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:sipis:problem:"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One stable problem type: its name is the end of the `type` URN."""

    name: str
    status: int
    title: str


INVALID_REQUEST: Final = ProblemKind("invalid-request", 400, "The request is not HTTP")
INVALID_JSON: Final = ProblemKind("invalid-json", 400, "The body is not JSON")
INVALID_FIELD: Final = ProblemKind("invalid-field", 422, "A field has a value that cannot be used")
UNKNOWN_FIELD: Final = ProblemKind("unknown-field", 422, "The body has a key that is not known")
REFUSED_ADDRESS: Final = ProblemKind(
    "refused-address", 422, "The provider's address lies in a network that is never talked to"
)
PUSH_NOT_CONFIGURED: Final = ProblemKind(
    "push-not-configured", 422, "The push service of a target is not configured for this app"
)
TOO_LARGE: Final = ProblemKind("too-large", 413, "The body is too large")
TOO_SLOW: Final = ProblemKind("too-slow", 408, "The body took too long")
UNSUPPORTED_MEDIA: Final = ProblemKind("unsupported-media", 415, "The body must be JSON")
UNAUTHORIZED: Final = ProblemKind("unauthorized", 401, "The app key is missing or wrong")
NOT_FOUND: Final = ProblemKind("not-found", 404, "There is no such thing here")
METHOD_NOT_ALLOWED: Final = ProblemKind("method-not-allowed", 405, "The method is not allowed here")
CONFLICT: Final = ProblemKind("conflict", 409, "The request conflicts with an earlier one")
TOO_MANY: Final = ProblemKind("too-many-requests", 429, "Too many requests")
UNAVAILABLE: Final = ProblemKind("unavailable", 503, "The server cannot do this now")
INTERNAL: Final = ProblemKind("internal", 500, "The server failed; the fault is ours")

KINDS: Final = (
    INVALID_REQUEST, INVALID_JSON, INVALID_FIELD, UNKNOWN_FIELD, REFUSED_ADDRESS,
    PUSH_NOT_CONFIGURED, TOO_LARGE, TOO_SLOW, UNSUPPORTED_MEDIA, UNAUTHORIZED, NOT_FOUND,
    METHOD_NOT_ALLOWED, CONFLICT, TOO_MANY, UNAVAILABLE, INTERNAL,
)  # fmt: skip


class Problem(Exception):
    """Something went wrong for the caller: the kind, the field and a sentence."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str = "",
        field: str = "",
        *,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.name)
        self.kind = kind
        self.detail = detail
        self.field = field
        self.retry_after = retry_after
        self.headers = headers or {}

    def document(self) -> dict[str, object]:
        """The JSON body."""
        body: dict[str, object] = {
            "type": TYPE_PREFIX + self.kind.name,
            "title": self.kind.title,
            "status": self.kind.status,
        }
        if self.detail:
            body["detail"] = self.detail
        if self.field:
            body["field"] = self.field
        return body

    def response(self) -> web.Response:
        """The HTTP answer."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        answer = web.json_response(self.document(), status=self.kind.status, headers=headers)
        answer.content_type = CONTENT_TYPE
        return answer
