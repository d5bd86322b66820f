from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

from sipis.sip.events import Event, RequestTimedOut


def test_no_event_can_be_changed_after_it_was_told() -> None:
    event = RequestTimedOut("transaction")
    with pytest.raises(FrozenInstanceError):
        event.transaction = "other"  # type: ignore[misc]


@pytest.mark.parametrize("kind", get_args(Event))
def test_every_event_is_a_frozen_value_without_a_dictionary(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not hasattr(kind, "__weakref__")
