"""The tree against the values that every RFC 6962 implementation is tested with."""

import random

import pytest

from sipis.audit.merkle import ARITY, EMPTY_ROOT, Tree, fold, leaf_hash, node_hash
from sipis.audit.verifier.forms import Unproven
from sipis.audit.verifier.tree import GrowingTree, root_by_path
from tests.support.tlog import is_consistent

ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Kept:
    """Complete subtrees in a table, as the store keeps them."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.tiers = [leaves]
        while len(self.tiers[-1]) >= ARITY:
            below = self.tiers[-1]
            whole = range(0, len(below) - ARITY + 1, ARITY)
            self.tiers.append([fold(below[i : i + ARITY]) for i in whole])

    def __call__(self, tier: int, first: int, count: int) -> list[bytes]:
        found = self.tiers[tier][first : first + count]
        assert len(found) == count
        return found


def tree(size: int, kept: Kept) -> Tree:
    return Tree(size, kept)


HASHES = [leaf_hash(number.to_bytes(4, "big")) for number in range(600)]
KEPT = Kept(HASHES)


def test_l6_roots_match_the_published_values() -> None:
    kept = Kept([leaf_hash(entry) for entry in ENTRIES])
    assert [tree(n, kept).root().hex() for n in range(1, 9)] == ROOTS
    assert tree(0, kept).root() == EMPTY_ROOT


def test_l6_paths_of_rfc_9162_section_2_1_5() -> None:
    leaves = [leaf_hash(entry) for entry in ENTRIES[:7]]
    a, b, c, d, e, f, j = leaves
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741 - the RFC's letters
    seven = tree(7, Kept(leaves))
    assert seven.inclusion(0) == [b, h, l]
    assert seven.inclusion(3) == [c, g, l]
    assert seven.inclusion(4) == [f, j, k]
    assert seven.inclusion(6) == [i, k]
    assert seven.consistency(3) == [c, d, g, l]
    assert seven.consistency(4) == [l]
    assert seven.consistency(6) == [i, j, k]


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 33, 255, 256, 257, 599])
def test_every_leaf_of_a_tree_is_proven_and_no_other_in_its_place(size: int) -> None:
    whole = tree(size, KEPT)
    root = whole.root()
    for index in range(size):
        path = whole.inclusion(index)
        assert root_by_path(HASHES[index], index, size, path) == root
        assert size == 1 or root_by_path(HASHES[index - 1], index, size, path) != root


@pytest.mark.parametrize("size", [1, 2, 16, 17, 100, 256, 300])
def test_every_earlier_tree_is_proven_to_be_a_prefix(size: int) -> None:
    whole = tree(size, KEPT)
    for earlier in range(1, size + 1):
        old = (earlier, tree(earlier, KEPT).root())
        path = whole.consistency(earlier)
        assert is_consistent(old, (size, whole.root()), path)
        assert not is_consistent((earlier, bytes(32)), (size, whole.root()), path)


def test_the_verifier_grows_the_same_trees() -> None:
    grown = GrowingTree()
    for size, leaf in enumerate(HASHES, 1):
        grown.add(leaf)
        assert size % 37 or grown.root() == tree(size, KEPT).root()


def test_a_path_of_another_length_proves_nothing() -> None:
    path = tree(100, KEPT).inclusion(42)
    for wrong in (path[:-1], [*path, bytes(32)]):
        with pytest.raises(Unproven):
            root_by_path(HASHES[42], 42, 100, wrong)
    with pytest.raises(Unproven):
        root_by_path(HASHES[42], 100, 100, path)


def test_a_root_reads_a_few_dozen_hashes_at_any_size() -> None:
    read = 0

    def counted(_: int, __: int, count: int) -> list[bytes]:
        nonlocal read
        read += count
        return [bytes(32)] * count

    for _ in range(20):
        size = random.randrange(10**6, 10**7)
        read = 0
        Tree(size, counted).root()
        assert read < 150
        Tree(size, counted).inclusion(size // 3)
        assert read < 500
