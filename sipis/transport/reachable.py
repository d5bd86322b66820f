"""Whether providers and apps can reach what we tell them: warnings about a configuration.

Refuses to probe: it looks at addresses and at the machine's own routes, and sends nothing.
"""

from typing import Final

from sipis.config import SipSettings
from sipis.sip.flow import Door, Transport
from sipis.transport.addresses import local_address_towards
from sipis.transport.networks import is_public, parse_address
from sipis.transport.targets import Listener, parse_advertised, parse_listeners

_ANYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
_PUBLIC_EXAMPLE: Final = {4: "198.41.0.4", 6: "2001:503:ba3e::2:30"}
"""Root name servers: public addresses to ask the kernel's routing table about."""


def reachability_warnings(settings: SipSettings) -> list[str]:
    """One sentence for each address that the outside cannot use, naming its setting.

    Raises ConfigError for settings that cannot be read.
    """
    advertised = parse_advertised(settings.advertise)
    if advertised is not None:
        return _about_advertised(advertised[0])
    listeners = parse_listeners(settings.provider_listeners, settings.app_listeners)
    return [_about(each, settings) for each in listeners if not _is_reachable(each)]


def _about_advertised(host: str) -> list[str]:
    if parse_address(host) is None or is_public(host):
        return []
    return ["sip.advertise is not a public address: only its own network can reach it"]


def _about(listener: Listener, settings: SipSettings) -> str:
    setting = f"sip.{listener.door.value}_listeners: {str(listener)!r}"
    if listener.door is Door.APP:
        return f"{setting} is not a public address: apps elsewhere cannot connect to it"
    if listener.transport is Transport.UDP and settings.learn_from_rport:
        return (
            f"{setting} is not a public address: calls arrive only through the NAT binding that "
            "registrations and keep-alives hold open; set sip.advertise where there is a fixed one"
        )
    return f"{setting} is not a public address: set sip.advertise to one that leads here"


def _is_reachable(listener: Listener) -> bool:
    host = listener.host
    if host in _ANYWHERE:
        host = local_address_towards(_PUBLIC_EXAMPLE[6 if ":" in host else 4])
    return is_public(host)
