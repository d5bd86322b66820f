import hashlib
import os

from sipis.audit import Opening, new_opening
from sipis.model import InstanceId

ID = InstanceId("0123456789abcdef" * 2)


def test_anyone_with_the_opening_can_recompute_the_commitment() -> None:
    opening = new_opening(ID, os.urandom)
    assert len(opening.salt) == 32
    expected = hashlib.sha256(b"instance" + opening.salt + ID.encode()).digest()
    assert opening.commitment == expected


def test_without_the_salt_the_id_leads_nowhere() -> None:
    one, two = new_opening(ID, os.urandom), new_opening(ID, os.urandom)
    assert one.commitment != two.commitment
    assert Opening(ID, bytes(32)).commitment not in {one.commitment, two.commitment}


def test_the_salt_does_not_show_itself() -> None:
    opening = Opening(ID, b"s" * 32)
    assert "sss" not in repr(opening)
