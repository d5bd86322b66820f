"""What RFC 4475 asks of the element above the stack, from a provider that is known."""

from pathlib import Path

import pytest

from sipis.sip.message import Request, Response, parse_message
from tests.support.relay import House

TORTURE = Path(__file__).parents[2] / "data" / "rfc4475"


async def send(house: House, name: str) -> Response:
    """One message of the archive, as if its sender stood at the caller's address."""
    caller = await house.caller()
    request = parse_message((TORTURE / f"{name}.dat").read_bytes())
    assert isinstance(request, Request)
    request.headers.set_first("Via", f"SIP/2.0/UDP {caller.hostport};branch=z9hG4bK{name};rport")
    caller.send(request)
    response = await caller.next()
    assert isinstance(response, Response)
    return response


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("intmeth", 501),  # 3.1.1.2
        ("esc02", 501),  # 3.1.1.5
        ("regaut01", 405),  # 3.3.7: this door is no registrar
        ("unksm2", 405),  # 3.3.4
        ("cparam01", 405),  # 3.3.12
        ("zeromf", 200),  # 3.3.11
        ("semiuri", 200),  # 3.1.1.9
        ("transports", 200),  # 3.1.1.10
        ("lwsdisp", 200),  # 3.1.1.6
    ],
)
async def test_the_providers_door_answers_as_its_sections_ask(
    house: House, name: str, status: int
) -> None:
    response = await send(house, name)
    assert response.status == status


@pytest.mark.parametrize("name", ["intmeth", "regaut01"])
async def test_a_refused_method_comes_with_those_that_are_not(house: House, name: str) -> None:
    response = await send(house, name)
    assert "INVITE" in (response.headers.get("Allow") or "")


async def test_extensions_that_nobody_knows_are_refused_by_name(house: House) -> None:  # 3.3.5
    response = await send(house, "bext01")
    assert response.status == 420
    assert (
        response.headers.get("Unsupported") or ""
    ).lower() == "nothingsupportsthis, nothingsupportsthiseither"
