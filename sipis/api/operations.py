"""The operations of the app API as one table, of which router and OpenAPI document are made."""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel

from sipis.api import schema

Auth = Literal["app key", "instance secret", "none"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: where it is, who may make it, what goes in and what comes out."""

    name: str
    method: str
    path: str
    summary: str
    auth: Auth
    answer: type[BaseModel] | None
    body: type[BaseModel] | None = None
    status: int = 200
    media: str = "application/json"


PLAIN: Final = "text/plain"
_INSTANCE: Final = "/v1/instances/{id}"

OPERATIONS: Final = (
    Operation("enable", "POST", "/v1/instances", "Enable push for one SIP account", "app key",
              schema.CreatedAnswer, schema.CreateBody, 201),
    Operation("read", "GET", _INSTANCE, "Where the instance stands", "instance secret",
              schema.InstanceAnswer),
    Operation("replace", "PUT", _INSTANCE, "Replace account, targets, mode or lifetime",
              "instance secret", schema.InstanceAnswer, schema.ReplaceBody),
    Operation("refresh", "POST", f"{_INSTANCE}/refresh", "Extend the lifetime", "instance secret",
              schema.InstanceAnswer, schema.RefreshBody),
    Operation("foreground", "POST", f"{_INSTANCE}/foreground",
              "Take the registration for a while; renewable", "instance secret",
              schema.InstanceAnswer, schema.ForegroundBody),
    Operation("background", "POST", f"{_INSTANCE}/background", "Give the registration back",
              "instance secret", schema.InstanceAnswer),
    Operation("verify", "POST", f"{_INSTANCE}/verify", "Prove that the push token is yours",
              "instance secret", schema.InstanceAnswer, schema.VerifyBody),
    Operation("disable", "DELETE", _INSTANCE, "Disable push; the credentials are destroyed",
              "instance secret", schema.ReceiptAnswer),
    Operation("receipt", "GET", "/v1/receipts/{commitment}", "The receipt of a deletion", "none",
              schema.ReceiptAnswer),
    Operation("log_checkpoint", "GET", "/v1/log/checkpoint",
              "The newest signed checkpoint of the log", "none", None, media=PLAIN),
    Operation("log_key", "GET", "/v1/log/key", "The keys that sign the log", "none", None,
              media=PLAIN),
    Operation("log_consistency", "GET", "/v1/log/consistency/{earlier}/{later}",
              "Proof that one checkpoint continues another", "none", schema.ConsistencyAnswer),
    Operation("export", "GET", f"{_INSTANCE}/export", "All data held about the instance",
              "instance secret", None),
    Operation("messages", "GET", f"{_INSTANCE}/messages", "Stored messages", "instance secret",
              schema.MessagesAnswer),
    Operation("acknowledge", "DELETE", f"{_INSTANCE}/messages/{{mid}}",
              "Acknowledge a message; it is erased", "instance secret", None, None, 204),
    Operation("calls", "GET", f"{_INSTANCE}/calls", "Pending and missed calls", "instance secret",
              schema.CallsAnswer),
    Operation("call", "GET", f"{_INSTANCE}/calls/{{call}}", "What became of one call",
              "instance secret", schema.CallAnswer),
    Operation("accept", "POST", f"{_INSTANCE}/calls/{{call}}/accept",
              "The user answered; SIP follows", "instance secret", schema.CallAnswer),
    Operation("decline", "POST", f"{_INSTANCE}/calls/{{call}}/decline", "Decline without SIP",
              "instance secret", schema.CallAnswer),
    Operation("push_test", "POST", f"{_INSTANCE}/push-test", "Send a test push", "instance secret",
              schema.PushTestAnswer),
)  # fmt: skip
