"""What the operator wrote, in the words of this room.

Refuses to open anything: it hands ready-made parts to the composition root.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from sipis.clock import Clock
from sipis.config import ProviderSettings, Settings
from sipis.errors import ConfigError
from sipis.observe.metrics import Metrics
from sipis.sip.flow import Door, Transport
from sipis.sip.message import Request
from sipis.transport.endpoint import Endpoint
from sipis.transport.networks import NetworkPolicy
from sipis.transport.resolver import Resolver
from sipis.transport.targets import Listener, parse_advertised, parse_listeners, share_of
from sipis.transport.tls import TlsContexts, TlsPolicy, TlsSettings


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Everything that an endpoint and a resolver need to know before they exist."""

    listeners: tuple[Listener, ...]
    tls: TlsSettings
    allow: tuple[str, ...]
    nameservers: tuple[str, ...]
    user_agent: str
    advertise: str
    learn_from_rport: bool
    nat_binding: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read and check the settings; ConfigError names the first that cannot be used."""
        sip = settings.sip
        made = cls(
            listeners=parse_listeners(sip.provider_listeners, sip.app_listeners),
            tls=TlsSettings(sip.cert_file, sip.key_file, _policies(settings.providers)),
            allow=settings.network.allow,
            nameservers=sip.nameservers,
            user_agent=sip.user_agent,
            advertise=sip.advertise,
            learn_from_rport=sip.learn_from_rport,
            nat_binding=sip.nat_binding,
        )
        made.check()
        for domain, provider in settings.providers.items():
            with _naming(domain):
                share_of(provider.udp_source, "")
        return made

    def check(self) -> None:
        """Read every file and text once; ConfigError names what cannot be used."""
        self.policy()
        parse_advertised(self.advertise)
        contexts = TlsContexts(self.tls)
        for domain, policy in self.tls.providers.items():
            with _naming(domain):
                contexts.client(policy)
        if any(listener.transport.secure for listener in self.listeners):
            contexts.server()

    def policy(self) -> NetworkPolicy:
        """The networks that may be talked to."""
        return NetworkPolicy(self.allow)

    def endpoint(
        self,
        *,
        clock: Clock,
        policy: NetworkPolicy,
        entropy: Callable[[int], bytes],
        metrics: Metrics | None = None,
        instance_of: Callable[[Request], str] | None = None,
    ) -> Endpoint:
        """An endpoint that is not started yet; `instance_of` names what a request is for."""
        return Endpoint(
            clock=clock,
            listeners=self.listeners,
            policy=policy,
            entropy=entropy,
            user_agent=self.user_agent,
            tls=self.tls,
            advertise=self.advertise,
            learn_from_rport=self.learn_from_rport,
            nat_binding=self.nat_binding,
            metrics=metrics,
            instance_of=instance_of,
        )

    def resolver(
        self, *, clock: Clock, policy: NetworkPolicy, entropy: Callable[[int], bytes]
    ) -> Resolver:
        """A resolver for the address families in which the provider door listens."""
        hosts = [each.host for each in self.listeners if each.door is Door.PROVIDER]
        families = sorted({6 if ":" in host else 4 for host in hosts}) or [4, 6]
        return Resolver(
            policy=policy,
            clock=clock,
            entropy=entropy,
            nameservers=self.nameservers,
            transports=(Transport.UDP, Transport.TCP, Transport.TLS),
            families=families,
        )


@contextmanager
def _naming(domain: str) -> Iterator[None]:
    """Put the provider's domain into the key of an error."""
    try:
        yield
    except ConfigError as wrong:
        setting = wrong.key.removeprefix("providers.")
        raise ConfigError(f"providers.{domain}.{setting}", wrong.problem) from None


def _policies(providers: Mapping[str, ProviderSettings]) -> dict[str, TlsPolicy]:
    return {
        domain.lower(): TlsPolicy(provider.ca_file, provider.tls_pin or "")
        for domain, provider in providers.items()
        if provider.ca_file or provider.tls_pin
    }
