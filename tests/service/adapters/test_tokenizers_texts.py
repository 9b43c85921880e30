"""Texts become tokens as the model's own tokenizer says, and what it cannot read is known."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from service.adapters.preparation_threads import PreparationThreads
from service.adapters.tokenizers_texts import TokenizersTexts
from service.predictions.domain import EncodedText, Inference, Lane, Manifest
from tests.service.adapters.small_models import text_manifest

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "food", "was", "not", "!", "f", "##o", "##ö"]


def tokenizer_file() -> bytes:
    """As it comes from training: it cuts and fills up, which is not wanted here."""
    tokenizer = Tokenizer(WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(3)
    return tokenizer.to_str().encode()


class TextModel:
    """As much of a model as a tokenizer needs."""

    def __init__(self, max_tokens: int) -> None:
        self.manifest: Manifest = text_manifest(max_tokens=max_tokens)
        self._file = tokenizer_file()

    def asset(self, name: str) -> bytes:
        """The tokenizer."""
        assert name == "tokenizer.json"
        return self._file

    def check_room(self, rows: int, lane: Lane = Lane.REQUEST) -> None:
        """There is."""

    async def infer(self, *rows: object, **how: object) -> Inference:
        """It computes nothing."""
        raise NotImplementedError


@pytest.fixture
async def texts() -> AsyncIterator[TokenizersTexts]:
    async with PreparationThreads(threads=2, most_waiting=9) as threads:
        yield TokenizersTexts(threads)


async def encode(texts: TokenizersTexts, *written: str, max_tokens: int = 8) -> list[EncodedText]:
    return list(await texts.encode(TextModel(max_tokens), written))


async def test_a_text_becomes_a_row(texts: TokenizersTexts) -> None:
    (encoded,) = await encode(texts, "Food was GOOD!")

    assert encoded.row["input_ids"].tolist() == [2, 5, 6, 4, 8, 3]
    assert encoded.row["attention_mask"].tolist() == [1] * 6
    assert {array.dtype for array in encoded.row.values()} == {np.dtype(np.int64)}
    assert (encoded.tokens, encoded.truncated, encoded.unknown_share) == (6, False, 0.0)


async def test_a_long_text_is_cut_and_it_is_said(texts: TokenizersTexts) -> None:
    short, exact, long = await encode(texts, "good", "good " * 6, "good " * 7, max_tokens=8)

    assert [each.truncated for each in (short, exact, long)] == [False, False, True]
    assert [each.tokens for each in (short, exact, long)] == [3, 8, 8]


async def test_of_an_endless_text_the_beginning_is_read(texts: TokenizersTexts) -> None:
    (encoded,) = await encode(texts, "good" + " " * 5000, max_tokens=8)

    assert (encoded.tokens, encoded.truncated) == (3, True)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("!!!", 0.0),
        ("good food!", 0.0),
        ("good foo", 0.5),
        ("foo föö !", 1.0),
        ("good 🎉 !", 0.5),
        ("not xyzzy was", 1 / 3),
    ],
)
async def test_a_word_that_is_not_in_the_vocabulary_as_a_whole_is_unknown(
    texts: TokenizersTexts, text: str, share: float
) -> None:
    (encoded,) = await encode(texts, text)

    assert encoded.unknown_share == pytest.approx(share)


async def test_texts_keep_their_order_among_many(texts: TokenizersTexts) -> None:
    written = [" ".join(WORDS[4:8][: 1 + nth % 4]) for nth in range(100)]

    encoded = await encode(texts, *written)

    assert [each.tokens - 2 for each in encoded] == [len(text.split()) for text in written]


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
async def test_the_tokenizer_starts_no_threads_of_its_own(texts: TokenizersTexts) -> None:
    await asyncio.gather(*(encode(texts, "good") for _ in range(4)))  # both of ours run
    before = _threads()

    await encode(texts, *["good food was not good!"] * 500)

    assert _threads() == before


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))
