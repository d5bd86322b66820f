import pytest

from sipis.errors import FieldError, SealBroken
from sipis.vault.place import CONTENT_SIZES, RECORD_SIZES, Place

KEY = bytes(range(32))
NONCE = bytes(12)
HERE = Place("app", "i" * 32, "account", 3)


def test_a_record_has_one_of_the_documented_lengths() -> None:
    lengths = {len(HERE.seal(KEY, bytes(n), RECORD_SIZES, NONCE)) for n in range(0, 2000, 50)}
    assert lengths == set(RECORD_SIZES)


@pytest.mark.parametrize(
    "there",
    [
        Place("app2", "i" * 32, "account", 3),
        Place("app", "j" * 32, "account", 3),
        Place("app", "i" * 32, "targets", 3),
        Place("app", "i" * 32, "account", 2),
    ],
    ids=["tenant", "row", "purpose", "version"],
)
def test_a_record_carried_to_another_place_stays_shut(there: Place) -> None:
    sealed = HERE.seal(KEY, b"text", RECORD_SIZES, NONCE)
    assert HERE.open(KEY, sealed) == b"text"
    with pytest.raises(SealBroken):
        there.open(KEY, sealed)


def test_what_fits_no_size_is_the_fault_of_the_field() -> None:
    with pytest.raises(FieldError) as refused:
        HERE.seal(KEY, bytes(2048), RECORD_SIZES, NONCE)
    assert refused.value.field == "account"


def test_the_largest_message_fits() -> None:
    assert len(HERE.seal(KEY, bytes(64 * 1024), CONTENT_SIZES, NONCE)) == 128 * 1024
