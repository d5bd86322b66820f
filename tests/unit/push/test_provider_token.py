import jwt
import pytest

from sipis.clock import ManualClock
from sipis.push.provider import ApnsAccount, apns_servers
from sipis.push.provider_token import FLOOR, RENEW_AFTER, ProviderToken, ProviderTokens
from sipis.world.operator_keys import AppleKey
from tests.support.push import ec_signer

KEY = AppleKey("TEAM", "KEY")


@pytest.fixture
def token(clock: ManualClock) -> ProviderToken:
    return ProviderToken("TEAM", ec_signer(KEY), clock)


def test_apple_can_verify_it(token: ProviderToken, clock: ManualClock) -> None:
    text = token.current()
    claims = jwt.decode(text, KEY.public_pem, algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM", "iat": int(clock.wall())}
    assert jwt.get_unverified_header(text)["kid"] == "KEY"


async def test_it_serves_for_three_quarters_of_an_hour(
    token: ProviderToken, clock: ManualClock
) -> None:
    first = token.current()
    await clock.advance(RENEW_AFTER - 1)
    assert token.current() == first
    await clock.advance(1)
    assert token.current() != first


async def test_a_wall_clock_set_back_renews_nothing(
    token: ProviderToken, clock: ManualClock
) -> None:
    first = token.current()
    clock.jump(-86_400)
    assert token.current() == first


async def test_many_refusals_of_one_token_make_one_new_token(
    token: ProviderToken, clock: ManualClock
) -> None:
    refused = token.current()
    await clock.advance(FLOOR)
    assert token.renew(refused)
    second = token.current()
    assert token.renew(refused)
    assert token.current() == second != refused


async def test_no_token_is_renewed_within_twenty_minutes(
    token: ProviderToken, clock: ManualClock
) -> None:
    refused = token.current()
    await clock.advance(FLOOR - 1)
    assert not token.renew(refused)
    assert token.current() == refused


def test_apps_of_one_key_share_a_holder_and_a_replaced_key_gets_its_own(clock: ManualClock) -> None:
    tokens = ProviderTokens(clock)
    signer = ec_signer(KEY)
    one = ApnsAccount("TEAM", "org.example.one", signer, apns_servers())
    two = ApnsAccount("TEAM", "org.example.two", signer, apns_servers())
    replaced = ApnsAccount("TEAM", "org.example.one", ec_signer(AppleKey("TEAM", "KEY")), {})
    assert tokens.of(one) is tokens.of(two)
    assert tokens.of(replaced) is not tokens.of(two)
