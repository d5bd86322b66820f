import pytest

from sipis.sip.flow import Door, Flow, Transport


def flow(
    transport: Transport = Transport.UDP, remote: tuple[str, int] = ("192.0.2.1", 5060)
) -> Flow:
    return Flow(1, Door.PROVIDER, transport, ("192.0.2.9", 5060), remote)


def test_udp_alone_is_unreliable() -> None:
    assert [transport for transport in Transport if not transport.reliable] == [Transport.UDP]


def test_tls_and_secure_websocket_are_encrypted() -> None:
    assert {transport for transport in Transport if transport.secure} == {
        Transport.TLS,
        Transport.WSS,
    }


@pytest.mark.parametrize(
    ("transport", "in_via", "in_uri", "port"),
    [
        (Transport.UDP, "UDP", "udp", 5060),
        (Transport.TCP, "TCP", "tcp", 5060),
        (Transport.TLS, "TLS", "tls", 5061),
        (Transport.WS, "WS", "ws", 80),
        (Transport.WSS, "WSS", "ws", 443),
    ],
)
def test_each_transport_has_its_tokens_and_its_default_port(
    transport: Transport, in_via: str, in_uri: str, port: int
) -> None:
    assert (transport.via_token, transport.uri_token) == (in_via, in_uri)
    assert transport.default_port == port


def test_a_flow_is_a_dictionary_key_made_of_all_its_fields() -> None:
    assert {flow(): "one"}[flow()] == "one"
    assert flow() != flow(remote=("192.0.2.1", 5062))


def test_another_port_of_the_same_host_is_the_same_source() -> None:
    assert flow().same_source(flow(remote=("192.0.2.1", 40000)))


def test_another_host_or_transport_is_another_source() -> None:
    assert not flow().same_source(flow(remote=("192.0.2.2", 5060)))
    assert not flow().same_source(flow(Transport.TCP))
