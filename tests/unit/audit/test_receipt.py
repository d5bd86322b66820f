from hypothesis import given
from hypothesis import strategies as st

from sipis.audit import UNSIGNED, receipt_for
from sipis.model import DeletionReason


@given(st.floats(min_value=1e9, max_value=4e9))
def test_a_receipt_tells_the_minute_and_nothing_finer(moment: float) -> None:
    receipt = receipt_for(bytes(32), DeletionReason.EXPIRED, moment)
    assert receipt.destroyed_at % 60 == 0
    assert 0 <= moment - receipt.destroyed_at < 60


def test_as_json_it_holds_commitment_reason_minute_and_signature_alone() -> None:
    receipt = receipt_for(bytes(range(32)), DeletionReason.DISABLED, 1_800_000_059.9)
    assert receipt.as_json() == {
        "commitment": bytes(range(32)).hex(),
        "reason": "disabled",
        "destroyed_at": "2027-01-15T08:00:00Z",
        "signature": UNSIGNED,
    }
