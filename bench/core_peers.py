"""How sipmessage and aiosipua do what bench.core asks; each is imported only when asked for."""

from collections.abc import Callable

from bench.core_samples import Sample

Work = Callable[[Sample], object]


def sipmessage_codec() -> tuple[Work, Work]:
    """Parse and build with sipmessage."""
    import sipmessage

    def parse(sample: Sample) -> object:
        message = sipmessage.Message.parse(sample.data)
        branch = message.via[0].parameters.get("branch")
        tags = message.from_address.parameters.get("tag"), message.to_address.parameters.get("tag")
        return branch, tags, message.call_id, message.cseq

    def build(sample: Sample) -> object:
        message = (
            sipmessage.Response(sample.status, sample.reason)
            if sample.status
            else sipmessage.Request(sample.method, sipmessage.URI.parse(sample.uri))
        )
        for name, value in sample.headers:
            message.headers.add(name, value)
        message.body = sample.body
        return bytes(message)

    return parse, build


def aiosipua_codec() -> tuple[Work, Work]:
    """Parse and build with aiosipua."""
    import aiosipua

    def parse(sample: Sample) -> object:
        message = aiosipua.SipMessage.parse(sample.data)
        branch = message.via[0].params.get("branch")
        tags = message.from_addr.params.get("tag"), message.to_addr.params.get("tag")
        return branch, tags, message.call_id, message.cseq

    def build(sample: Sample) -> object:
        message = (
            aiosipua.SipResponse(status_code=sample.status, reason_phrase=sample.reason)
            if sample.status
            else aiosipua.SipRequest(method=sample.method, uri=sample.uri)
        )
        for name, value in sample.headers:
            message.add_header(name, value)
        message.body = sample.body
        return bytes(message)

    return parse, build
