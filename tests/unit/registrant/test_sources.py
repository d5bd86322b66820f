"""Which addresses may speak for a provider."""

from pathlib import Path

import pytest

from sipis.config import ProviderSettings
from sipis.registrant.sources import (
    MOST_PER_REGISTRAR,
    RELEARN,
    Sources,
    load_all,
    plain,
    write_down,
)
from sipis.store import instances
from sipis.store.inline import InlineRunner
from tests.support.store import new_instance

NOW = 1_800_000_000.0


def sources(*extra: str) -> Sources:
    return Sources(lambda _domain: ProviderSettings(extra_sources=extra))


def test_only_what_was_learnt_for_the_provider_is_known() -> None:
    learnt = sources()
    learnt.learn("example.org", "192.0.2.1", NOW)
    assert learnt.is_known("example.org", "192.0.2.1")
    assert not learnt.is_known("example.net", "192.0.2.1")
    assert not learnt.is_known("example.org", "192.0.2.2")


def test_an_extra_source_speaks_for_its_provider_before_anything_is_learnt() -> None:
    extra = ProviderSettings(extra_sources=("198.51.100.0/24",))
    settings = {"example.org": extra, "example.net": ProviderSettings()}
    learnt = Sources(settings.__getitem__, settings)
    assert learnt.registrars_of("198.51.100.7") == ["example.org"]
    assert learnt.registrars_of("192.0.2.1") == []


@pytest.mark.parametrize("host", ["198.51.100.7", "2001:db8:1::9"])
def test_extra_sources_are_networks_of_both_families(host: str) -> None:
    assert sources("198.51.100.0/24", "2001:db8:1::/48").is_known("example.org", host)
    assert not sources("198.51.100.0/28").is_known("example.org", "198.51.100.77")


def test_an_ipv4_address_inside_ipv6_is_the_same_address() -> None:
    learnt = sources()
    learnt.learn("example.org", "::ffff:192.0.2.1", NOW)
    assert learnt.is_known("example.org", "192.0.2.1")
    assert plain("2001:DB8::0:1") == "2001:db8::1"


def test_what_is_seen_all_the_time_is_written_once_a_day() -> None:
    learnt = sources()
    learnt.learn("example.org", "192.0.2.1", NOW)
    assert learnt.take_unwritten() == {"example.org": {"192.0.2.1"}}
    learnt.learn("example.org", "192.0.2.1", NOW + RELEARN / 2)
    assert learnt.take_unwritten() == {}
    learnt.learn("example.org", "192.0.2.1", NOW + RELEARN + 1)
    assert learnt.take_unwritten() == {"example.org": {"192.0.2.1"}}


def test_the_set_of_a_provider_is_bounded_and_forgets_the_oldest() -> None:
    learnt = sources()
    for number in range(MOST_PER_REGISTRAR + 1):
        learnt.learn("example.org", f"192.0.2.{number}", NOW + number)
    assert not learnt.is_known("example.org", "192.0.2.0")
    assert learnt.is_known("example.org", f"192.0.2.{MOST_PER_REGISTRAR}")


async def test_the_set_survives_in_the_store(tmp_path: Path) -> None:
    store = InlineRunner(tmp_path)
    await store.write(instances.insert, new_instance(1))
    await store.write(write_down, {"example.org": {"192.0.2.1"}}, NOW)
    again = sources()
    again.load(await store.read(load_all), NOW)
    assert again.is_known("example.org", "192.0.2.1")
    await store.close()
