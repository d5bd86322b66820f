from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from sipis.vault.allocator import LONGEST_LIST, SlotAllocator

PER_SEGMENT = 4


class Slots(RuleBasedStateMachine):
    """An allocator beside the plain truth: a set of taken slots."""

    longest_list = LONGEST_LIST

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[int] = set()
        self.segments = 2
        self.allocator = SlotAllocator(
            self.free_in, PER_SEGMENT, self.segments, longest_list=self.longest_list
        )

    def free_in(self, segment: int) -> list[int]:
        first = segment * PER_SEGMENT
        return [slot for slot in range(first, first + PER_SEGMENT) if slot not in self.taken]

    @rule()
    def take(self) -> None:
        free = set(range(self.segments * PER_SEGMENT)) - self.taken
        slot = self.allocator.take()
        assert slot == (min(free) if free else None)
        if slot is not None:
            self.taken.add(slot)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.taken)))
        self.taken.remove(slot)
        self.allocator.release(slot)

    @precondition(lambda self: self.segments < 6)
    @rule()
    def grow(self) -> None:
        self.segments += 1
        self.allocator.grow(self.segments)


class SlotsWithAShortList(Slots):
    """The same, where freed slots are forgotten and found again."""

    longest_list = 2


TestLowestFreeFirst = Slots.TestCase
TestLowestFreeFirstWithAShortList = SlotsWithAShortList.TestCase
TestLowestFreeFirst.settings = settings(max_examples=30, stateful_step_count=40)
TestLowestFreeFirstWithAShortList.settings = settings(max_examples=30, stateful_step_count=40)
