"""A secret shows itself to nobody."""

import copy
import json
import pickle

import pytest

from sipis.secret import HIDDEN, Secret

MARK = "marker-5f0c7b"


@pytest.mark.parametrize("show", [repr, str, lambda s: f"{s}", lambda s: f"{s:>40}"])
def test_k8_no_way_of_printing_shows_the_text(show: object) -> None:
    assert callable(show)
    assert MARK not in show(Secret(MARK))
    assert HIDDEN in show(Secret(MARK))


def test_k8_a_secret_cannot_be_pickled_copied_or_turned_into_json() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(MARK))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(MARK))
    with pytest.raises(TypeError):
        json.dumps(Secret(MARK))


def test_a_secret_is_no_dictionary_key() -> None:
    with pytest.raises(TypeError):
        hash(Secret(MARK))


def test_secrets_compare_by_their_text_and_never_equal_plain_text() -> None:
    assert Secret(MARK) == Secret(MARK)
    assert Secret(MARK) != Secret(MARK + "x")
    assert Secret(MARK) != MARK


def test_the_text_comes_back_by_reveal_alone() -> None:
    assert Secret(MARK).reveal() == MARK
    assert len(Secret(MARK)) == len(MARK)
