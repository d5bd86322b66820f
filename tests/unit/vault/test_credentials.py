import itertools
import json
import pickle

import pytest

from sipis.secret import Secret
from sipis.sip.digest import Algorithm
from sipis.vault import Ha1, Ha1Credential, PasswordCredential, RelayLogin, new_relay_login

MARKER = "marker-Zx9"
HOLDERS = [
    PasswordCredential(Secret(MARKER)),
    Ha1Credential((Ha1("realm", Algorithm.MD5, Secret(MARKER)),)),
    RelayLogin("user", Secret(MARKER), "sipis"),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_k8_no_way_of_printing_a_credential_shows_it(holder: object) -> None:
    assert MARKER not in f"{holder} {holder!r} {holder!s} {[holder]} {vars_of(holder)}"
    with pytest.raises(TypeError):
        pickle.dumps(holder)
    with pytest.raises(TypeError):
        json.dumps(holder)


def vars_of(holder: object) -> list[object]:
    return [getattr(holder, name) for name in getattr(type(holder), "__slots__", ())]


def test_a_relay_login_is_128_bits_of_name_and_256_of_password_in_hex() -> None:
    counter = itertools.count(1)
    login = new_relay_login("sipis", lambda n: bytes([next(counter)]) * n)
    assert login.for_app() == ("02" * 16, "01" * 32)
    assert login.realm == "sipis"
