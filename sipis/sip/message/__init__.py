"""SIP messages: raw headers that parse on demand, requests, responses, reading and answering.

Untouched headers leave byte for byte. Refuses to judge a message beyond its syntax: what a
request is owed by policy or state is decided by the stack and the rooms above it.
"""

from sipis.sip.message.fields import Headers, key_of
from sipis.sip.message.model import Message, Request, Response
from sipis.sip.message.reading import parse_message, salvage_request
from sipis.sip.message.reasons import REASONS
from sipis.sip.message.replies import response_to

__all__ = [
    "REASONS",
    "Headers",
    "Message",
    "Request",
    "Response",
    "key_of",
    "parse_message",
    "response_to",
    "salvage_request",
]
