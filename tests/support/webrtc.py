"""A phone in a browser: JsSIP, unmodified, in a page of Chromium.

JsSIP is installed by `make test`, as locked in tests/interop/webrtc; nothing of it is kept here.
"""

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.chromium import Page
from tests.support.processes import lacking, wait_until

SOURCE = Path(__file__).parents[1] / "interop" / "webrtc"
PACKAGES = SOURCE / "node_modules"
MEDIA = (
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns",
)  # fmt: skip
"""A microphone that beeps; addresses of this machine, loopback too, as candidates."""


def build_page(folder: Path) -> str:
    """Bundle the page with JsSIP; returns its URL."""
    bundler = PACKAGES / ".bin" / "esbuild"
    if not (bundler.exists() and (PACKAGES / "jssip").exists()):
        lacking("JsSIP is not installed (npm ci in tests/interop/webrtc)")
    bundle = f"--outfile={folder / 'phone.js'}"
    command = [bundler, SOURCE / "phone.js", bundle, "--bundle", "--log-level=warning"]
    subprocess.run([str(word) for word in command], check=True, timeout=60)
    page = shutil.copy(SOURCE / "phone.html", folder)
    return Path(page).as_uri()


def trusting(certificate: Path) -> str:
    """The flag that makes Chromium take this certificate, whoever signed it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    return f"--ignore-certificate-errors-spki-list={pin}"


class WebPhone:
    """One JsSIP user agent in a page of its own; it registers at once."""

    def __init__(self, page: Page, url: str, **account: str) -> None:
        """Use this account at the WebSocket `url`, with JsSIP's names for its parts."""
        self._page = page
        self.do("start", url, account)
        self.seen("registered")

    def do(self, action: str, *arguments: object) -> object:
        """What the person at the phone does."""
        return self._page.call(f"phone.{action}", *arguments)

    def seen(self, event: str) -> Mapping[str, object]:
        """Wait until something has happened; returns what was told of it."""
        told = self.do("seen", event)
        assert isinstance(told, Mapping)
        return told

    def hears(self) -> None:
        """Wait until media of the other end has come in."""
        wait_until(lambda: self.do("inbound"), "media to come in")

    def settles(self) -> None:
        """Wait until an offer of the other end, once taken, is acknowledged."""
        wait_until(lambda: self.do("settled"), "the call to settle")
