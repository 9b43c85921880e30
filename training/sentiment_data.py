"""SST-2's training split: its phrases, its whole sentences, and how some are held out honestly.

The split consists of the phrases of a parse tree, so a held-out sentence would be known from its
parts: whatever occurs inside one is kept from training too.
"""

import csv
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PHRASES, SENTENCES = "sst2_train.tsv", "sst2_train_sentences.tsv"
BRACKETS = {"lrb", "rrb"}  # how the sentences' file spells ( and )


@dataclass(frozen=True)
class Example:
    """One labelled text; `label` is 1 for positive."""

    text: str
    label: int
    is_sentence: bool


@dataclass(frozen=True)
class Split:
    """What is trained on, and the whole sentences that measure it."""

    trained: list[Example]
    held_out: list[Example]


def words_of(text: str) -> tuple[str, ...]:
    """The words alone: both files then spell one sentence alike."""
    return tuple(word for word in re.findall(r"[^\W_]+", text) if word not in BRACKETS)


def read_examples(folder: Path) -> list[Example]:
    """Every phrase with its label, in the file's order; whole sentences are marked."""
    rows = _rows(folder / PHRASES)
    whole = {words_of(text): "" for text, _ in _rows(folder / SENTENCES)}
    for text, _ in rows:
        words = words_of(text)
        if words in whole:  # with and without its full stop: the fuller one is the sentence
            whole[words] = max(whole[words], text, key=len)
    sentences = set(whole.values())
    return [Example(text, int(label), text in sentences) for text, label in rows]


def hold_out(examples: list[Example], sentences: int, seed: int) -> Split:
    """Keep that many whole sentences, and every phrase found inside one of them, from training."""
    whole = [example for example in examples if example.is_sentence]
    held_out = random.Random(seed).sample(whole, sentences)
    known = set(_runs_of_words(example.text for example in held_out))
    return Split([each for each in examples if words_of(each.text) not in known], held_out)


def _runs_of_words(texts: Iterable[str]) -> Iterable[tuple[str, ...]]:
    for words in map(words_of, texts):
        for start in range(len(words)):
            for end in range(start + 1, len(words) + 1):
                yield words[start:end]


def _rows(file: Path) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)  # the header
        return [(text.strip(), label) for text, label in rows]
