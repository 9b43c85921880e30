"""A held-out sentence is known neither whole nor in parts. (The texts are invented.)"""

from pathlib import Path

import pytest

from training.sentiment_data import PHRASES, SENTENCES, Example, hold_out, read_examples, words_of


@pytest.fixture(name="examples")
def examples_read(tmp_path: Path) -> list[Example]:
    (tmp_path / PHRASES).write_text(
        "text\tlabel\n"
        "a well-made kettle ( at last )\t1\n"
        "a well-made kettle ( at last ) .\t1\n"
        "well-made\t1\n"
        "kettle at\t1\n"
        "a cold kettle\t0\n"
        'the lid says " hot "\t0\n',
        encoding="utf-8",
    )
    (tmp_path / SENTENCES).write_text(
        "text\tlabel\na well made kettle lrb at last rrb\t1\n", encoding="utf-8"
    )
    return read_examples(tmp_path)


def test_nothing_inside_a_held_out_sentence_is_trained_on(examples: list[Example]) -> None:
    split = hold_out(examples, sentences=1, seed=1)

    assert [example.text for example in split.trained] == ["a cold kettle", 'the lid says " hot "']


def test_the_fuller_spelling_of_a_sentence_is_the_one_held_out(examples: list[Example]) -> None:
    split = hold_out(examples, sentences=1, seed=1)

    assert split.held_out == [Example("a well-made kettle ( at last ) .", 1, is_sentence=True)]


def test_the_same_seed_holds_out_the_same(examples: list[Example]) -> None:
    assert hold_out(examples, 1, seed=5) == hold_out(examples, 1, seed=5)


@pytest.mark.parametrize(
    "spelling", ["re-made ( well )", "re made lrb well rrb", "re made , well ."]
)
def test_both_files_spell_the_same_words(spelling: str) -> None:
    assert words_of(spelling) == ("re", "made", "well")
