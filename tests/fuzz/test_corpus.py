"""Replays what fuzzing has found interesting: every input that reaches a branch of its own."""

from pathlib import Path

from tests.fuzz.target import check

CORPUS = Path(__file__).parent / "corpus"


def test_every_input_of_the_corpus_keeps_what_must_hold() -> None:
    inputs = sorted(CORPUS.iterdir())
    assert len(inputs) > 50
    for path in inputs:
        check(path.read_bytes())
