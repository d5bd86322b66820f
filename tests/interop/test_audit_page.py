"""The auditor's page in Chromium, as a person sees it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import FLAGS
from tests.support.processes import require
from tests.support.server import ADMIN_TOKEN, APP, Server

pytestmark = [pytest.mark.interop, pytest.mark.timeout(60)]

DRAWN = ("--hide-scrollbars", "--window-size=1100,1700", "--timeout=10000")


@pytest.fixture(scope="module")
def chromium() -> str:
    return require("chromium")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    apps = {APP: {"trial": True, "require_verification": False}}
    made = Server(folder, apps=apps)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def receipt(server: Server) -> str:
    """The proof of one deletion."""
    account = {"aor": "sip:alice@127.0.0.1:59999", "password": "secret of alice"}
    target = {"provider": "fcm", "kind": "token", "token": "a-token-of-a-phone"}
    body = {"app_id": APP, "account": account, "targets": [target]}
    made = server.call("POST", "/v1/instances", body)
    assert made.status == 201, made.body
    path = f"/v1/instances/{made.body['instance']}"
    return str(server.call("DELETE", path, bearer=str(made.body["secret"])).body["proof"])


def browse(chromium: str, folder: Path, url: str, *more: str) -> str:
    """What the browser makes of a page, after it has applied the page's own policy."""
    done = subprocess.run(
        [chromium, *FLAGS, *DRAWN, f"--user-data-dir={folder / 'profile'}", *more, url],
        capture_output=True, text=True, check=True, timeout=50,
    )  # fmt: skip
    return done.stdout


def test_the_page_is_drawn_with_its_style_and_its_figures(
    chromium: str, server: Server, receipt: str, tmp_path: Path
) -> None:
    assert receipt
    url = f"http://auditor:{ADMIN_TOKEN}@127.0.0.1:{server.admin_port}/audit"
    picture = tmp_path / "page.png"
    dom = browse(chromium, tmp_path, url, "--dump-dom", f"--screenshot={picture}")
    facts = re.findall(r'class="fact"><b[^>]*>([^<]*)</b><span>([^<]*)<', dom)
    assert ("1", "destroyed, all time") in facts
    assert ("0", "live now; the log agrees") in facts
    assert "<title>" in dom.split("<svg", 1)[1]


def test_a_pasted_receipt_is_sent_from_the_form_and_holds(
    chromium: str, server: Server, receipt: str, tmp_path: Path
) -> None:
    """The form is filled by a page of our own that submits it, as a person would."""
    filled = tmp_path / "filled.html"
    action = f"http://auditor:{ADMIN_TOKEN}@127.0.0.1:{server.admin_port}/audit"
    filled.write_text(
        f'<meta charset="utf-8"><form method="post" action="{action}">'
        f'<textarea name="receipt">{receipt}</textarea></form>'
        "<script>document.forms[0].submit()</script>"
    )
    dom = browse(chromium, tmp_path, filled.as_uri(), "--dump-dom", "--virtual-time-budget=8000")
    assert 'id="verdict"><strong>The receipt holds.' in dom
