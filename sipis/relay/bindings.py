"""Where awake apps are: one binding per instance, and it dies with its flow.

The newest flow of an instance wins (RFC 5626 4.2 in spirit). Bindings are in memory alone: after a
restart every flow is gone, and so is every app's binding.
Refuses to outlive a grant: an expired binding is no binding, whether or not it was swept away.
"""

from dataclasses import dataclass, field

from sipis.model import InstanceId
from sipis.sip.flow import Flow
from sipis.sip.headers import NameAddr
from sipis.sip.uri import SipUri


@dataclass(frozen=True, slots=True)
class Binding:
    """One app that is awake; `until` is monotonic seconds."""

    n: int
    instance: InstanceId
    flow: Flow
    contact: NameAddr = field(repr=False)
    until: float
    path: tuple[NameAddr, ...] = field(default=(), repr=False)
    """Proxies between us and the app, topmost first (RFC 3327)."""

    @property
    def is_direct(self) -> bool:
        """Whether the app is where its Contact says: neither NAT nor proxy lies between."""
        uri = self.contact.uri
        if self.path or not isinstance(uri, SipUri):
            return False
        return (uri.host, uri.port or self.flow.transport.default_port) == self.flow.remote

    def is_named_by(self, contact: NameAddr) -> bool:
        """Whether a Contact, however it is spelt, is that of this binding (RFC 3261 10.3)."""
        uri = self.contact.uri
        if isinstance(uri, SipUri):
            return uri.equivalent(contact.uri)
        return uri == contact.uri


class Bindings:
    """The bindings of this process."""

    def __init__(self) -> None:
        self._by_instance: dict[int, Binding] = {}
        self._on_flow: dict[Flow, set[int]] = {}

    def __len__(self) -> int:
        return len(self._by_instance)

    def bind(self, binding: Binding) -> None:
        """Put a binding in the place of the instance's older one."""
        self.unbind(binding.n)
        self._by_instance[binding.n] = binding
        self._on_flow.setdefault(binding.flow, set()).add(binding.n)

    def unbind(self, n: int) -> None:
        """Take the binding of an instance away, if it has one."""
        old = self._by_instance.pop(n, None)
        if old is None:
            return
        served = self._on_flow[old.flow]
        served.discard(n)
        if not served:
            del self._on_flow[old.flow]

    def find(self, n: int, now: float) -> Binding | None:
        """The live binding of an instance."""
        binding = self._by_instance.get(n)
        return binding if binding is not None and binding.until > now else None

    def on_flow(self, flow: Flow) -> list[Binding]:
        """The bindings that live on a flow."""
        return [self._by_instance[n] for n in sorted(self._on_flow.get(flow, ()))]

    def flow_closed(self, flow: Flow) -> None:
        """A flow takes all its bindings along."""
        for binding in self.on_flow(flow):
            self.unbind(binding.n)

    def sweep(self, now: float) -> None:
        """Forget what has expired."""
        for n in [n for n, binding in self._by_instance.items() if binding.until <= now]:
            self.unbind(n)
