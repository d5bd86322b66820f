"""The auditor's side of the admin listener: the log to take away, and a page to look at.

The page needs no script and loads nothing from elsewhere; a browser asks for the admin token as the
password of any user. Refuses to change anything: an auditor looks.
"""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from aiohttp import web

from sipis.api import auditpage, problems
from sipis.api.auditpage import Verdict
from sipis.api.evidence import number_of
from sipis.api.problems import Problem
from sipis.audit import Notary, export
from sipis.audit.checkpoints import Checkpoints
from sipis.audit.summary import DAYS, Summary, summarize
from sipis.audit.verifier.forms import Unproven, read_keys
from sipis.audit.verifier.receipt import as_given_out, verify_receipt
from sipis.clock import Clock
from sipis.store.runner import Store
from sipis.vault.signer import verify_ed25519

LONGEST_RECEIPT = 16 * 1024


class AuditorHandlers:
    """What an auditor can ask."""

    def __init__(
        self, notary: Notary, checkpoints: Checkpoints, store: Store, clock: Clock
    ) -> None:
        self._notary = notary
        self._checkpoints = checkpoints
        self._store = store
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """All routes of the auditor."""
        return [
            web.get("/v1/admin/log", self.log, name="admin_log"),
            web.get("/v1/admin/checkpoints", self.published, name="admin_checkpoints"),
            web.get("/v1/admin/keys", self.keys, name="admin_keys"),
            web.get("/v1/admin/audit", self.summary, name="admin_audit"),
            web.get("/audit", self.page, name="audit_page"),
            web.post("/audit", self.check, name="audit_check"),
            web.get("/audit/log.jsonl", self.whole_log, name="audit_log"),
            web.get("/audit/checkpoints", self.published, name="audit_checkpoints"),
            web.get("/audit/keys", self.keys, name="audit_keys"),
            web.get("/audit/verify.pyz", self.verifier, name="audit_verifier"),
        ]

    async def log(self, request: web.Request) -> web.Response:
        """Give a page of leaves from number `first` on; an empty answer is the end."""
        first = number_of(request.query.get("first", "0"), "first")
        lines = await self._store.read(export.lines, first)
        return web.Response(body=lines, content_type="application/jsonl")

    async def whole_log(self, request: web.Request) -> web.StreamResponse:
        """Give all leaves, as a file."""
        stream = web.StreamResponse(headers={"Content-Disposition": "attachment"})
        stream.content_type = "application/jsonl"
        await stream.prepare(request)
        first = 0
        while lines := await self._store.read(export.lines, first):
            await stream.write(lines)
            first += lines.count(b"\n")
        return stream

    async def published(self, request: web.Request) -> web.StreamResponse:
        """Give all published checkpoints and the newest one, an empty line after each."""
        stream = web.StreamResponse()
        stream.content_type = "text/plain"
        await stream.prepare(request)
        for day in self._checkpoints.days():
            text = await asyncio.to_thread(self._checkpoints.published, day)
            await stream.write(text.encode())
        if self._notary.latest is not None:
            await stream.write(f"{self._notary.latest.text}\n".encode())
        return stream

    async def keys(self, _: web.Request) -> web.Response:
        """Give the verifier keys, one a line."""
        return web.Response(text="".join(f"{key}\n" for key in self._notary.verifier_keys()))

    async def verifier(self, _: web.Request) -> web.Response:
        """Give the verifier, one file that needs nothing of this server."""
        headers = {"Content-Disposition": "attachment; filename=verify.pyz"}
        return web.Response(body=export.verifier(), content_type="application/zip", headers=headers)

    async def summary(self, _: web.Request) -> web.Response:
        """Give the log at a glance."""
        return web.json_response(asdict(await self._summary()))

    async def page(self, _: web.Request) -> web.Response:
        """Show the log at a glance to a person."""
        return await self._shown("", None)

    async def check(self, request: web.Request) -> web.Response:
        """Check a pasted receipt, and show what it proves."""
        form = await request.post()
        text = form.get("receipt", "")
        if not isinstance(text, str) or len(text) > LONGEST_RECEIPT:
            raise Problem(problems.INVALID_FIELD, "must be the text of a receipt", "receipt")
        return await self._shown(text, self._verdict(text))

    def _verdict(self, text: str) -> Verdict:
        try:
            keys = read_keys("\n".join(self._notary.verifier_keys()))
            proven = verify_receipt(as_given_out(text), keys, verify_ed25519)
        except Unproven as wrong:
            return Verdict(holds=False, text=str(wrong))
        return Verdict(holds=True, text="", proven=proven)

    async def _shown(self, pasted: str, verdict: Verdict | None) -> web.Response:
        html = auditpage.render(
            await self._summary(),
            latest=self._notary.latest,
            keys=self._notary.verifier_keys(),
            now=self._clock.wall(),
            pasted=pasted,
            verdict=verdict,
        )
        headers = {
            "Content-Security-Policy": auditpage.POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def _summary(self) -> Summary:
        today = datetime.fromtimestamp(self._clock.wall(), UTC)
        since = (today - timedelta(days=DAYS - 1)).strftime("%Y-%m-%d")
        return await self._store.read(summarize, since)
