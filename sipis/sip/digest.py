"""Digest: reading challenges, answering, checking (RFC 7616, RFC 8760, RFC 3261 section 22).

Every value comes as an argument: nonces, cnonces and counts are chosen by the caller. Passwords
enter `ha1` alone; all else works on its result. Refuses Basic and any algorithm not listed here.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import quote
from sipis.sip.headers import Challenge, Credentials
from sipis.sip.message import Response


class Algorithm(StrEnum):
    """Digest algorithms; the values are those on the wire."""

    MD5 = "MD5"
    MD5_SESS = "MD5-sess"
    SHA256 = "SHA-256"
    SHA256_SESS = "SHA-256-sess"
    SHA512_256 = "SHA-512-256"
    SHA512_256_SESS = "SHA-512-256-sess"

    @property
    def is_session(self) -> bool:
        """Whether the HA1 is bound to the nonce and cnonce of its first use."""
        return self in _BASES

    @property
    def base(self) -> "Algorithm":
        """The algorithm without `-sess`: it alone decides over the stored HA1."""
        return _BASES.get(self, self)

    def hash(self, data: bytes | str) -> str:
        """The digest in lower-case hex."""
        hasher = _HASHERS[self].copy()
        hasher.update(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
        return hasher.hexdigest()


_BASES: Final = {
    Algorithm.MD5_SESS: Algorithm.MD5,
    Algorithm.SHA256_SESS: Algorithm.SHA256,
    Algorithm.SHA512_256_SESS: Algorithm.SHA512_256,
}
_HASH_NAMES: Final = {
    Algorithm.MD5: "md5",
    Algorithm.SHA256: "sha256",
    Algorithm.SHA512_256: "sha512_256",
}
_HASHERS: Final = {
    algorithm: hashlib.new(_HASH_NAMES[algorithm.base], usedforsecurity=False)
    for algorithm in Algorithm
}
"""Empty hashers to be copied: making one by name costs more than what it hashes."""
_BY_NAME: Final = {algorithm.value.lower(): algorithm for algorithm in Algorithm}
_QOPS: Final = ("auth", "auth-int")


class Asked(Protocol):
    """What an answer has to fit: a challenge, or what is remembered of one."""

    @property
    def realm(self) -> str:
        """Whose password is asked for."""

    @property
    def nonce(self) -> str:
        """The server's random text."""

    @property
    def algorithm(self) -> Algorithm:
        """How to hash."""

    @property
    def opaque(self) -> str | None:
        """What the server wants back unchanged."""

    @property
    def userhash(self) -> bool:
        """Whether the user name is hashed as well."""


@dataclass(frozen=True, slots=True)
class DigestChallenge:
    """What a server asks for; `qop` lists the known options in our order, () for RFC 2069 style."""

    realm: str
    nonce: str
    algorithm: Algorithm = Algorithm.MD5
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False
    userhash: bool = False
    proxy: bool = False

    @classmethod
    def from_challenge(cls, challenge: Challenge, *, proxy: bool) -> Self | None:
        """Read a challenge; None for another scheme, algorithm or qop than ours."""
        get = challenge.params.get
        algorithm = _BY_NAME.get((get("algorithm") or "MD5").lower())
        realm, nonce = get("realm"), get("nonce")
        if challenge.scheme.lower() != "digest" or not algorithm or realm is None or not nonce:
            return None
        offered = [option.strip().lower() for option in (get("qop") or "").split(",")]
        qop = tuple([option for option in _QOPS if option in offered])
        if any(offered) and not qop:
            return None
        stale, userhash = _is_true(get("stale")), _is_true(get("userhash"))
        return cls(realm, nonce, algorithm, qop, get("opaque"), stale, userhash, proxy)

    @property
    def preferred_qop(self) -> str | None:
        """`auth` when offered, else `auth-int`, else None for an answer without qop."""
        return self.qop[0] if self.qop else None


def read_challenges(response: Response) -> list[DigestChallenge]:
    """All challenges of a 401 or 407 that we can answer, in order; unreadable ones are left out."""
    return [
        *_read_header(response, "WWW-Authenticate", proxy=False),
        *_read_header(response, "Proxy-Authenticate", proxy=True),
    ]


def choose(challenges: Sequence[DigestChallenge]) -> DigestChallenge | None:
    """The topmost challenge: servers list them by preference (RFC 8760 section 2.4)."""
    return challenges[0] if challenges else None


def ha1(algorithm: Algorithm, user: str, realm: str, password: str) -> str:
    """Hash of user, realm and password in hex; the same for an algorithm and its `-sess` form."""
    return algorithm.hash(f"{user}:{realm}:{password}")


def answer(
    challenge: Asked,
    *,
    user: str,
    ha1_hex: str,
    method: str,
    uri: str,
    body: bytes = b"",
    cnonce: str,
    nonce_count: int,
    qop: str | None,
) -> str:
    """The value of Authorization or Proxy-Authorization (RFC 7616 section 3.4).

    `user` is the clear name, hashed here when the challenge asks for userhash. `nonce_count`
    starts at 1 for a nonce. `qop` is one that the challenge offers, None when it offers none.
    """
    algorithm = challenge.algorithm
    count = f"{nonce_count:08x}"
    proof = _Proof(algorithm, challenge.nonce, cnonce, count, qop, uri)
    name = algorithm.hash(f"{user}:{challenge.realm}") if challenge.userhash else user
    parts = [
        f"username={quote(name)}",
        f"realm={quote(challenge.realm)}",
        f"nonce={quote(challenge.nonce)}",
        f"uri={quote(uri)}",
        f'response="{proof.response(ha1_hex, method, body)}"',
        f"algorithm={algorithm}",
    ]
    if qop or algorithm.is_session:
        parts.append(f"cnonce={quote(cnonce)}")
    if qop:
        parts += [f"qop={qop}", f"nc={count}"]
    if challenge.opaque is not None:
        parts.append(f"opaque={quote(challenge.opaque)}")
    if challenge.userhash:
        parts.append("userhash=true")
    return "Digest " + ", ".join(parts)


def check(credentials: Credentials, *, ha1_hex: str, method: str, body: bytes = b"") -> bool:
    """Whether the credentials prove knowledge of this HA1; compares in constant time.

    The caller has matched user, realm, algorithm, nonce and nonce count to what it handed out:
    here they are taken from the credentials as they stand.
    """
    get = credentials.params.get
    algorithm = _BY_NAME.get((get("algorithm") or "MD5").lower())
    nonce, uri, response = get("nonce"), get("uri"), get("response")
    qop = (get("qop") or "").lower() or None
    if credentials.scheme.lower() != "digest" or not algorithm or nonce is None or uri is None:
        return False
    if qop not in (None, *_QOPS):
        return False
    proof = _Proof(algorithm, nonce, get("cnonce") or "", get("nc") or "", qop, uri)
    expected = proof.response(ha1_hex, method, body)
    return hmac.compare_digest(_encode(expected), _encode((response or "").lower()))


def new_challenge(
    realm: str, nonce: str, algorithm: Algorithm, *, stale: bool = False, qop: str = "auth"
) -> str:
    """The value of WWW-Authenticate or Proxy-Authenticate (RFC 7616 section 3.3)."""
    parts = [f"realm={quote(realm)}", f"nonce={quote(nonce)}", f"algorithm={algorithm}"]
    if qop:
        parts.append(f"qop={quote(qop)}")
    if stale:
        parts.append("stale=true")
    return "Digest " + ", ".join(parts)


class _Proof(NamedTuple):
    """What both sides hash beside the secret; `nc` is as written."""

    algorithm: Algorithm
    nonce: str
    cnonce: str
    nc: str
    qop: str | None
    uri: str

    def response(self, ha1_hex: str, method: str, body: bytes) -> str:
        """The `response` value (RFC 7616 section 3.4.1)."""
        hashed, request = self.algorithm.hash, self._request_hash(method, body)
        secret = ha1_hex
        if self.algorithm.is_session:
            secret = hashed(f"{ha1_hex}:{self.nonce}:{self.cnonce}")
        if self.qop is None:
            return hashed(f"{secret}:{self.nonce}:{request}")
        return hashed(f"{secret}:{self.nonce}:{self.nc}:{self.cnonce}:{self.qop}:{request}")

    def _request_hash(self, method: str, body: bytes) -> str:
        integrity = f":{self.algorithm.hash(body)}" if self.qop == "auth-int" else ""
        return self.algorithm.hash(f"{method}:{self.uri}{integrity}")


def _read_header(response: Response, name: str, *, proxy: bool) -> Iterator[DigestChallenge]:
    for value in response.headers.get_all(name):
        try:
            challenges = Challenge.parse_many(value)
        except RemoteProtocolError:
            continue
        for challenge in challenges:
            known = DigestChallenge.from_challenge(challenge, proxy=proxy)
            if known is not None:
                yield known


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
