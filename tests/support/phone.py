"""A phone: an app installation that hands over its account, sleeps, and is woken by pushes.

Its SIP side is an unmodified softphone; what is here is the glue that an app developer writes.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue

from sipis.sip.uri import SipUri
from tests.support.baresip import Baresip
from tests.support.google import Google, Push
from tests.support.kamailio import DOMAIN
from tests.support.netns import PrivateNetwork
from tests.support.processes import wait_until
from tests.support.server import APP, APP_KEY, Answer, Server

OnCall = Callable[["Phone", str], None]


def answer(phone: "Phone", call: str) -> None:
    """Wake up for a call that still rings."""
    if phone.fate_of(call) == "ringing":
        phone.wake()


def sleep_on(_: "Phone", __: str) -> None:
    """Do nothing at all."""


def decline(phone: "Phone", call: str) -> None:
    """Decline without SIP."""
    phone.here("POST", f"/calls/{call}/decline")


class Phone:
    """One account on one phone; pushes are handled on a thread of their own."""

    def __init__(
        self,
        folder: Path,
        server: Server,
        google: Google,
        user: str,
        *,
        on_call: OnCall = answer,
        relay: str = "tcp",
        answers: str = "auto",
        listen: int = 0,
        network: PrivateNetwork | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self.user = user
        self.token = f"token-of-{user}-{id(self):x}"
        self.softphone: Baresip | None = None
        self.instance: Mapping[str, object] = {}
        self.pushes: list[Mapping[str, object]] = []
        self.on_call = on_call
        self._folder = folder
        self._server = server
        self._google = google
        self._relay = relay
        self._answers = answers
        self._listen = listen
        self._network = network
        self._ca_file = ca_file
        self._trouble: BaseException | None = None
        self._inbox: SimpleQueue[Push | None] = SimpleQueue()
        self._glue = threading.Thread(target=self._live, name=self.token, daemon=True)

    # What the user does.

    def enable(
        self,
        registrar: str | None,
        *,
        password: str = "",
        about: Mapping[str, object] | None = None,
        **more: object,
    ) -> Answer:
        """Hand the account over; keeps what the server gave. Without a registrar DNS must know.

        `about` says more of the account, `more` of the instance.
        """
        self._google.deliver(self.token, self._inbox.put)
        self._glue.start()
        account = {
            "aor": f"sip:{self.user}@{DOMAIN}",
            "password": password or f"secret-{self.user}",
            "registrar": registrar,
            **(about or {}),
        }
        target = {"provider": "fcm", "kind": "token", "token": self.token}
        body = {"app_id": APP, "account": account, "targets": [target], **more}
        given = self._server.call("POST", "/v1/instances", body, bearer=APP_KEY)
        if given.status == 201:
            self.instance = given.body
        return given

    def hand_over(
        self, registrar: str | None, *, about: Mapping[str, object] | None = None
    ) -> None:
        """Enable, and wait until the provider and the server both know where to find the phone."""
        self.enable(registrar, about=about)
        self.until_reachable()

    def hang_up(self) -> None:
        """End the call as soon as the softphone has one."""
        self.heard("Call established")
        assert self.softphone is not None
        self.softphone.command("hangup")

    def here(self, method: str, path: str = "", body: object = None) -> Answer:
        """Call the API for this instance."""
        wait_until(lambda: self.instance, "the instance to be created")
        where = f"/v1/instances/{self.instance['instance']}{path}"
        return self._server.call(method, where, body, bearer=str(self.instance["secret"]))

    def until_reachable(self) -> None:
        """Wait until the provider and the server both know where to find the phone."""

        def reachable() -> bool:
            stands = self.here("GET").body
            return stands["state"] == "registered" and stands["verified"] is True

        wait_until(reachable, f"{self.user} to be reachable")

    def fate_of(self, call: str) -> str:
        """What the server says became of a call."""
        return str(self.here("GET", f"/calls/{call}").body["state"])

    def pushed(self, event: str) -> Mapping[str, object]:
        """The first push of that kind, once it is there."""

        def found() -> Mapping[str, object] | None:
            if self._trouble is not None:
                raise self._trouble
            return next((it for it in self.pushes if it["event"] == event), None)

        return wait_until(found, f"a push of {event!r} to {self.user}") or {}

    # What the app does.

    def wake(self) -> Baresip:
        """Start the softphone; it registers at the relay and gets what waits there."""
        login = self.instance["relay"]
        assert isinstance(login, Mapping)
        uris = [SipUri.parse(uri) for uri in login["uris"]]
        door = next(uri for uri in uris if (uri.transport or "udp") == self._relay)
        assert door.port is not None
        self.softphone = Baresip(
            self._folder / self.token,
            user=login["username"],
            password=login["password"],
            realm=login["realm"],
            transport=self._relay,
            host=door.host,
            port=door.port,
            ca_file=self._ca_file if self._relay == "tls" else None,
            answer=self._answers,
            listen=self._listen,
            network=self._network,
        )
        return self.softphone

    def heard(self, text: str) -> None:
        """Wait until the softphone is awake and has said or seen something."""
        softphone = wait_until(lambda: self.softphone, f"{self.user} to wake up")
        assert softphone is not None
        softphone.wait_for(text)

    def said(self) -> str:
        """All that the softphone has said and seen."""
        return "" if self.softphone is None else self.softphone.program.output()

    def stop(self) -> None:
        """Switch it off; what went wrong in the glue comes out here."""
        self._inbox.put(None)
        if self._glue.ident is not None:
            self._glue.join(20)
        if self.softphone is not None:
            self.softphone.stop()
        if self._trouble is not None:
            raise self._trouble

    def _live(self) -> None:
        while (push := self._inbox.get()) is not None:
            self.pushes.append(push)
            try:
                self._react(push)
            except Exception as trouble:  # shown by whoever waits for the phone
                self._trouble = trouble

    def _react(self, push: Push) -> None:
        if push["event"] == "verify":
            self.here("POST", "/verify", {"code": push["code"]})
        elif push["event"] == "call":
            self.on_call(self, str(push["call"]))
