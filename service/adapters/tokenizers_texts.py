"""Texts as token ids, by Hugging Face's tokenizers; the event loop and the GIL stay free.

`encode` holds the GIL for as long as it takes, 190 ms for 200,000 characters; `encode_batch` lets
go of it, also for one text, but starts a thread for every processor unless the environment says no.
"""

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial

import numpy as np
from tokenizers import Encoding, Tokenizer

from service.adapters.model_folders import TOKENIZER
from service.adapters.preparation_threads import PreparationThreads
from service.predictions.domain import EncodedText
from service.predictions.ports import Model

# A longer word is one unknown token, so what follows so many characters per token is cut off
# anyway, unless there are more blanks than words.
_LONGEST_WORD = 100


class TokenizersTexts:
    """The `Texts` port."""

    def __init__(self, threads: PreparationThreads) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is no other way to say it
        self._threads = threads
        self._tokenizer = lru_cache(maxsize=8)(_tokenizer)

    async def encode(self, model: Model, texts: Sequence[str]) -> Sequence[EncodedText]:
        """As `ports.Texts` says."""
        asset, most = model.asset(TOKENIZER), model.manifest.max_tokens
        return await self._threads.run(partial(self._encode, asset, most, texts))

    def _encode(
        self, asset: bytes, max_tokens: int | None, texts: Sequence[str]
    ) -> Sequence[EncodedText]:
        tokenizer = self._tokenizer(asset, max_tokens)
        most = None if max_tokens is None else max_tokens * _LONGEST_WORD
        encodings = tokenizer.encode_batch([text[:most] for text in texts])
        return [
            _encoded(encoding, tokenizer, is_cut=most is not None and len(text) > most)
            for encoding, text in zip(encodings, texts, strict=True)
        ]


def _tokenizer(asset: bytes, max_tokens: int | None) -> Tokenizer:
    tokenizer = Tokenizer.from_buffer(asset)
    tokenizer.no_padding()
    if max_tokens is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _encoded(encoding: Encoding, tokenizer: Tokenizer, *, is_cut: bool) -> EncodedText:
    ids = np.array(encoding.ids, np.int64)
    words = list(_words(encoding))
    unknown = [word for word in words if len(word) > 1 or word == [tokenizer.model.unk_token]]
    return EncodedText(
        row={"input_ids": ids, "attention_mask": np.ones_like(ids)},
        tokens=len(ids),
        unknown_share=len(unknown) / len(words) if words else 0.0,
        truncated=is_cut or bool(encoding.overflowing),
    )


def _words(encoding: Encoding) -> Iterable[list[str]]:
    """The tokens of each word, without punctuation, which all languages share.

    One that is in the vocabulary has one. In German or Turkish most have more, though WordPiece
    hardly ever calls one unknown: any Latin letters are pieces of something.
    """
    words: dict[int, list[str]] = {}
    for word, token in zip(encoding.word_ids, encoding.tokens, strict=True):
        if word is not None:
            words.setdefault(word, []).append(token)
    return (tokens for tokens in words.values() if any(map(str.isalnum, "".join(tokens))))
