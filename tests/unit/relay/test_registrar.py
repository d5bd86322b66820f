"""The registrar of the app's side."""

import pytest

from tests.support.relay import House, turns
from tests.support.sip_peers import Handset


async def handset_of(house: House, *, verified: bool = True) -> tuple[int, Handset]:
    phone = await house.enable(verified=verified)
    return phone.n, await house.handset(phone.n)


class TestRegistering:
    async def test_the_relay_login_binds_the_app_to_its_flow(self, house: House) -> None:
        n, handset = await handset_of(house)
        answer = await handset.register(expires=600)
        assert answer.status == 200
        assert answer.contacts[0].params.get("expires") == "600"
        assert str(answer.contacts[0].uri) == f"sip:app@{handset.hostport}"
        assert house.is_awake(n)

    async def test_a_binding_is_granted_for_an_hour_at_most(self, house: House) -> None:
        _, handset = await handset_of(house)
        answer = await handset.register(expires=86_400)
        assert answer.contacts[0].params.get("expires") == "3600"

    async def test_a_binding_ends_with_its_time(self, house: House) -> None:
        n, handset = await handset_of(house)
        await handset.register(expires=60)
        await house.clock.advance(61)
        assert not house.is_awake(n)

    @pytest.mark.parametrize("contact", [None, "*"])
    async def test_an_app_takes_its_binding_back(self, house: House, contact: str | None) -> None:
        n, handset = await handset_of(house)
        await handset.register()
        answer = await handset.register(expires=0, contact=contact)
        assert answer.status == 200
        assert not answer.contacts
        assert not house.is_awake(n)

    async def test_a_contact_that_it_has_left_takes_no_binding_back(self, house: House) -> None:
        n, handset = await handset_of(house)
        await handset.register()
        answer = await handset.register(expires=0, contact="<sip:app@192.0.2.7:5060>")
        assert [str(one.uri) for one in answer.contacts] == [f"sip:app@{handset.hostport}"]
        assert house.is_awake(n)

    async def test_another_spelling_of_its_contact_takes_a_binding_back(self, house: House) -> None:
        n, handset = await handset_of(house)
        await handset.register()
        await handset.register(expires=0, contact=f"<SIP:%61pp@{handset.hostport};ob>")
        assert not house.is_awake(n)

    async def test_an_old_flow_cannot_take_the_binding_of_a_newer_one_back(
        self, house: House
    ) -> None:
        n, wifi = await handset_of(house)
        cellular = await house.handset(n)
        await wifi.register()
        await cellular.register()
        await wifi.register(expires=0)
        assert house.is_awake(n)

    async def test_a_binding_dies_with_its_flow(self, house: House) -> None:
        n, handset = await handset_of(house)
        await handset.register()
        [binding] = house.relay._bindings._by_instance.values()
        house.relay.flow_closed(binding.flow)
        assert not house.is_awake(n)

    async def test_the_first_registration_proves_the_push_targets(self, house: House) -> None:
        _, handset = await handset_of(house, verified=False)
        await handset.register()
        await turns()
        assert len(house.lifecycle.proven) == 1

    async def test_what_is_proven_is_not_proven_again(self, house: House) -> None:
        _, handset = await handset_of(house)
        await handset.register()
        await turns()
        assert house.lifecycle.proven == []


class TestRefusing:
    async def test_a_wrong_password_gets_another_challenge(self, house: House) -> None:
        n, handset = await handset_of(house)
        assert (await handset.register(wrong=True)).status == 401
        assert not house.is_awake(n)

    @pytest.mark.parametrize("user", ["100", "ef" * 16])
    async def test_over_udp_who_knows_no_user_hears_nothing(self, house: House, user: str) -> None:
        _, handset = await handset_of(house)
        handset.login = (user, "guess")
        handset._register(600, None, [])
        await turns()
        assert await handset.silence()

    async def test_a_nonce_of_another_flow_is_worth_nothing(self, house: House) -> None:
        n, handset = await handset_of(house)
        await handset.register()
        proof = "Digest " + ", ".join(
            [
                f'username="{handset.login[0]}"',
                'realm="sipis"',
                'nonce="000000000000"',
                'uri="sip:sipis"',
                'response="0"',
            ]
        )
        handset._register(600, None, [("Authorization", proof)])
        again = await handset.response(401)
        assert "stale" not in (again.headers.get("WWW-Authenticate") or "")
        assert house.is_awake(n)

    async def test_extensions_that_nobody_heard_of_are_refused(self, house: House) -> None:
        _, handset = await handset_of(house)
        answer = await handset.register(headers=[("Require", "x-unheard-of")])
        assert answer.status == 420
        assert answer.headers.get("Unsupported") == "x-unheard-of"
