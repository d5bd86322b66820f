import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.config import PolicySettings
from sipis.errors import FieldError
from sipis.lifecycle import intake
from sipis.model import Account
from sipis.transport.networks import NetworkPolicy
from tests.support.lifecycle import House
from tests.support.vault import TOKEN, VOIP

POLICY = PolicySettings()


@given(st.none() | st.floats(0, 1e12))
def test_a_lifetime_is_never_above_the_cap_nor_below_a_minute(wanted: float | None) -> None:
    granted = intake.granted_ttl(wanted, POLICY)
    assert intake.SHORTEST_TTL <= granted <= POLICY.ttl_max
    if wanted and intake.SHORTEST_TTL <= wanted <= POLICY.ttl_max:
        assert granted == wanted


def test_repeated_targets_count_once() -> None:
    assert intake.unique([VOIP, TOKEN, VOIP]) == (VOIP, TOKEN)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("sip:alice@example.org", "sip:alice@EXAMPLE.org:5060;transport=udp", True),
        ("sip:alice@example.org", "sip:bob@example.org", False),
        ("sip:alice@example.org", "sip:alice@other.example", False),
    ],
)
async def test_an_aor_is_the_same_however_it_is_written(
    house: House, one: str, two: str, same: bool
) -> None:
    found = [intake.whereabouts(Account(aor), house.vault, NetworkPolicy()) for aor in (one, two)]
    assert (found[0] == found[1]) == same


async def test_the_registrar_is_what_was_given_else_the_home_of_the_aor(house: House) -> None:
    account = Account("sip:a@example.org", registrar="sip:reg.example.net")
    where = intake.whereabouts(account, house.vault, NetworkPolicy())
    assert where.registrar == "reg.example.net"


async def test_the_outbound_proxy_is_checked_as_well(house: House) -> None:
    account = Account("sip:a@example.org", outbound_proxy="sip:017700000001")
    with pytest.raises(FieldError):
        intake.whereabouts(account, house.vault, NetworkPolicy())
