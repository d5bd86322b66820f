"""The one list of metrics.

Refuses labels that name anybody: every label value comes from a fixed set (event, outcome, door,
reason, app id of the configuration). A registry is passed in, so that tests never share counters.
"""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SLOW = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60)


@dataclass(slots=True)
class Metrics:
    """Every counter, gauge and histogram of the server, made once per process."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _made: dict[str, Counter | Gauge | Histogram] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text, labels in _COUNTERS:
            self._made[name] = Counter(f"sipis_{name}", text, labels, registry=self.registry)
        for name, text, labels in _GAUGES:
            self._made[name] = Gauge(f"sipis_{name}", text, labels, registry=self.registry)
        for name, text, labels, buckets in _HISTOGRAMS:
            self._made[name] = Histogram(
                f"sipis_{name}", text, labels, buckets=buckets, registry=self.registry
            )

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter of the list."""
        made = self._made[name]
        (made.labels(**labels) if labels else made).inc(amount)  # type: ignore[union-attr]

    def crashed(self, room: str) -> None:
        """Count a crash of a supervised task; what supervisors call."""
        self.count("crashes_total", room=room)

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge of the list."""
        made = self._made[name]
        (made.labels(**labels) if labels else made).set(value)  # type: ignore[union-attr]

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Put a measurement into a histogram of the list."""
        made = self._made[name]
        (made.labels(**labels) if labels else made).observe(value)  # type: ignore[union-attr]

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


_COUNTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("registrations_total", "REGISTER attempts by outcome", ("outcome",)),
    ("farewells_total", "un-REGISTERs after a deletion by outcome", ("outcome",)),
    ("breaker_opened_total", "circuit breakers of registrar addresses that opened", ()),
    ("calls_total", "incoming calls by how they ended", ("end",)),
    ("messages_total", "incoming messages by what became of them", ("outcome",)),
    ("foreign_requests_total", "requests from sources that may not reach an instance", ("door",)),
    ("malformed_total", "SIP messages that broke the protocol", ("door",)),
    ("sources_limited_total", "packets dropped because their source sent too many", ("door",)),
    ("arrivals_refused_total", "connections ended before they were through, by what was short",
     ("entrance", "short")),
    ("push_total", "pushes by service, event, outcome and reason",
     ("service", "event", "outcome", "reason")),
    ("push_retries_total", "further attempts of a push", ("service",)),
    ("push_dropped_total", "pushes dropped unsent", ("why",)),
    ("targets_dead_total", "targets that a push service declared dead", ("service", "reason")),
    ("mass_death_guard_total", "times that the mass-death guard stopped destroying", ("app",)),
    ("instances_created_total", "instances enabled", ("app",)),
    ("instances_destroyed_total", "instances destroyed by reason", ("reason",)),
    ("log_signatures_total", "checkpoints of the transparency log that were signed", ()),
    ("log_signature_failures_total", "checkpoints that could not be signed or kept", ()),
    ("epoch_rolls_total", "rolls of the epoch key by outcome", ("outcome",)),
    ("keyless_rows_total", "rows found without a key at a start and erased", ()),
    ("canary_total", "canaries destroyed and looked for, by what was found", ("outcome",)),
    ("api_requests_total", "HTTP requests of the app API", ("operation", "status")),
    ("relay_registrations_total", "REGISTERs of apps by outcome", ("outcome",)),
    ("crashes_total", "crashes of supervised tasks", ("room",)),
)  # fmt: skip

_GAUGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("instances", "live instances", ()),
    ("calls_now", "calls ringing or running", ()),
    ("flows", "open flows", ("door", "transport")),
    ("transactions", "SIP transactions in memory", ()),
    ("push_queue", "pushes waiting", ("app",)),
    ("push_circuit_open", "1 while the circuit to a push service is open", ("app", "service")),
    ("apns_connections", "open connections to APNs", ()),
    ("loop_lag_seconds", "how late the event loop runs its timers", ()),
    ("log_leaves", "leaves of the transparency log when it was signed last", ()),
    ("epoch_roll_overdue_seconds", "how long a roll of the epoch key has been overdue", ()),
    ("canary_findings", "traces of the last canary that were found", ()),
    ("ready", "1 when the server serves", ()),
)

_HISTOGRAMS: tuple[tuple[str, str, tuple[str, ...], tuple[float, ...]], ...] = (
    ("invite_to_push_seconds", "INVITE received to push request on the wire", (), FAST),
    ("invite_to_accepted_seconds", "INVITE received to push accepted", (), FAST),
    ("push_seconds", "one push attempt", ("service",), FAST),
    ("push_to_wake_seconds", "push accepted to the app's arrival", (), SLOW),
    ("delete_seconds", "DELETE received to acknowledged", (), FAST),
    ("epoch_roll_seconds", "one roll of the epoch key", (), FAST),
    ("refresh_lag_seconds", "REGISTER due to REGISTER sent", (), SLOW),
)
