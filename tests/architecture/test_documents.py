"""Pages that follow from the code, and names in pages that must exist in the code."""

from tools import machines


def test_the_page_of_the_machines_is_what_the_tables_say() -> None:
    assert machines.PLACE.read_text() == machines.document(), "stale: run `make docs`"


def test_every_state_of_every_diagram_has_a_name_that_mermaid_can_read() -> None:
    arrows = [line.split() for line in machines.document().splitlines() if " --> " in line]
    assert len(arrows) > 50
    assert all(old.isidentifier() and new.isidentifier() for old, _, new, *_ in arrows)
