"""Words of texts and the token that stands for each: what a tag is read from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fucina.errors import ModelError
from fucina.models.tags import word_bounds
from fucina.models.tokenize import Encoded

__all__ = ["Words", "read_words", "token_numbers"]


@dataclass(frozen=True)
class Words:
    """The words of n texts that a model can see.

    Attributes:
        encoded: The texts as tokens.
        bounds: Where words begin and end, n arrays w x 2 of characters; those behind the cut are
            left out.
        places: The token whose state stands for the word, n arrays of w.
        read: Characters of each text up to the cut, n.
    """

    encoded: Encoded
    bounds: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]
    read: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def counts(self) -> np.ndarray:
        """Words of the n texts."""
        return np.array([len(row) for row in self.bounds], dtype=float)


def read_words(
    prompts: Sequence[str], tokenizer: Any, *, max_length_tokens: int, last: bool
) -> Words:
    """Tokenize texts and find the token of each word by the characters that it covers.

    Any fast tokenizer will do, whatever it makes of spaces and signs: words that share a token
    share its state.

    Args:
        prompts: n texts.
        tokenizer: A Hugging Face tokenizer.
        max_length_tokens: The most tokens a row may keep, special tokens included.
        last: The last token of a word stands for it, as in a model that looks back only, where
            the first has not seen the rest of the word; else the first.

    Raises:
        ModelError: The tokenizer does not say which characters its tokens cover.
    """
    if not tokenizer.is_fast:
        raise ModelError(
            f"{type(tokenizer).__name__} does not say which characters a token covers.",
            fix="Use a base with a fast tokenizer (tokenizer.json).",
        )
    if not prompts:
        return Words(Encoded((), ()), (), (), np.zeros(0, dtype=int))
    found = tokenizer(list(prompts), return_offsets_mapping=True)
    rows, covers = found["input_ids"], found["offset_mapping"]
    longest = max(map(len, rows))
    cut = tuple(i for i, row in enumerate(rows) if len(row) > max_length_tokens)
    if cut:
        shorter = tokenizer(
            [prompts[i] for i in cut], return_offsets_mapping=True, truncation=True,
            max_length=max_length_tokens,
        )  # fmt: skip
        for i, row, cover in zip(cut, shorter["input_ids"], shorter["offset_mapping"], strict=True):
            rows[i], covers[i] = row, cover
    filler = [tokenizer.pad_token_id]
    ids = tuple(np.array(row or filler, dtype=np.int64) for row in rows)
    read = np.array([len(prompt) for prompt in prompts])
    for i in cut:
        read[i] = max((end for _, end in covers[i]), default=0)
    pairs = [
        _placed(prompt, cover, end, last)
        for prompt, cover, end in zip(prompts, covers, read, strict=True)
    ]
    bounds, places = (tuple(part) for part in zip(*pairs, strict=True))
    return Words(Encoded(ids, cut, longest), bounds, places, read)


def _placed(
    prompt: str, cover: Sequence[tuple[int, int]], read: int, last: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds and tokens of the words that have one, up to a character."""
    real = [(i, begin, end) for i, (begin, end) in enumerate(cover) if begin < end]
    words = np.array([w for w in word_bounds(prompt) if w[1] <= read], dtype=int).reshape(-1, 2)
    if not real or not len(words):
        return words[:0], np.zeros(0, dtype=int)
    numbers, begins, ends = np.array(real).T
    first = np.searchsorted(ends, words[:, 0], side="right")
    final = np.searchsorted(begins, words[:, 1], side="left") - 1
    covered = first <= final  # a tokenizer may drop signs that it does not know
    return words[covered], numbers[(final if last else first)[covered]]


def token_numbers(words: Words, rows: np.ndarray, length: int) -> np.ndarray:
    """Where the tokens of the words of b rows stand, when the rows are padded to one length.

    Args:
        words: Of all texts.
        rows: b numbers of texts.
        length: L.

    Returns:
        Numbers into b*L tokens, row after row.
    """
    return np.concatenate([i * length + words.places[row] for i, row in enumerate(rows)])
