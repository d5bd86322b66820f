"""Header values as small frozen types, one file each.

Refuses to hold a message: the raw headers of one live in `sipis.sip.message`.
"""

from sipis.sip.grammar import first_value, quote, split_list, unquote
from sipis.sip.headers.auth import Challenge, Credentials
from sipis.sip.headers.cseq import CSeq
from sipis.sip.headers.media_type import MediaType
from sipis.sip.headers.name_addr import NameAddr, tag_of
from sipis.sip.headers.reason import Reason
from sipis.sip.headers.retry_after import RetryAfter
from sipis.sip.headers.via import Via, branch_of

__all__ = [
    "CSeq",
    "Challenge",
    "Credentials",
    "MediaType",
    "NameAddr",
    "Reason",
    "RetryAfter",
    "Via",
    "branch_of",
    "first_value",
    "quote",
    "split_list",
    "tag_of",
    "unquote",
]
