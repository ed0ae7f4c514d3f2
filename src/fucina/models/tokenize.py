"""Turn prompts into token ids, once for all folds and epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CHUNK_TOKENS", "Encoded", "chunks_by_length", "count_tokens", "encode", "pad"]

CHUNK_TOKENS = 2048  # a pass of about this many rows of the matrix product runs at full speed


@dataclass(frozen=True)
class Encoded:
    """Token ids of n prompts.

    Attributes:
        ids: n arrays of token ids, special tokens included, without padding.
        truncated: Rows that were longer than the limit and lost their end.
        longest_tokens: Tokens of the longest row before it was cut.
    """

    ids: tuple[np.ndarray, ...]
    truncated: tuple[int, ...]
    longest_tokens: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """The n token counts."""
        return np.array([len(row) for row in self.ids])


def count_tokens(prompts: Sequence[str], tokenizer: Any) -> np.ndarray:
    """How many tokens each of n prompts has, special tokens included, nothing cut."""
    if not prompts:
        return np.zeros(0, dtype=int)
    return np.array([len(row) for row in tokenizer(list(prompts))["input_ids"]])


def encode(prompts: Sequence[str], tokenizer: Any, *, max_length_tokens: int) -> Encoded:
    """Tokenize prompts and cut those that are too long.

    A tokenizer without special tokens gives nothing for an empty-looking prompt; such a row
    gets one pad token, so that every row can be pooled.

    Args:
        prompts: n texts.
        tokenizer: A Hugging Face tokenizer.
        max_length_tokens: The most tokens a row may keep, special tokens included.
    """
    if not prompts:
        return Encoded((), ())
    rows = tokenizer(list(prompts), add_special_tokens=True)["input_ids"]
    longest = max(map(len, rows))
    too_long = [i for i, row in enumerate(rows) if len(row) > max_length_tokens]
    if too_long:
        # Only the long ones are done again: truncation must keep the closing special token.
        shorter = tokenizer(
            [prompts[i] for i in too_long], truncation=True, max_length=max_length_tokens
        )["input_ids"]
        for i, row in zip(too_long, shorter, strict=True):
            rows[i] = row
    filler = [tokenizer.pad_token_id]
    ids = tuple(np.array(row or filler, dtype=np.int64) for row in rows)
    return Encoded(ids, tuple(too_long), longest)


def pad(encoded: Encoded, rows: np.ndarray, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring b rows to the length L of the longest.

    Args:
        encoded: Token ids of all texts.
        rows: b indices into `encoded`.
        pad_id: The token that fills up.

    Returns:
        Token ids, b x L, and the mask, 1 where there is a token.

    Example:
        >>> pad(Encoded((np.array([5, 6]), np.array([7])), ()), np.array([0, 1]), 0)[1].tolist()
        [[1, 1], [1, 0]]
    """
    lengths = [len(encoded.ids[row]) for row in rows]
    ids = np.full((len(rows), max(lengths)), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        ids[i, :length] = encoded.ids[row]
        mask[i, :length] = 1
    return ids, mask


def chunks_by_length(
    lengths: Sequence[int] | np.ndarray, rows: np.ndarray, most_tokens: int = CHUNK_TOKENS
) -> list[np.ndarray]:
    """Cut rows, sorted by length, into chunks of so many padded tokens at most.

    Example:
        >>> chunks_by_length([9, 2, 3], np.arange(3), most_tokens=10)
        [array([1, 2]), array([0])]
    """
    ordered = rows[np.argsort(np.asarray(lengths)[rows], kind="stable")]
    chunks: list[np.ndarray] = []
    begin = 0
    for end in range(1, len(ordered) + 1):
        full = end == len(ordered) or lengths[ordered[end]] * (end + 1 - begin) > most_tokens
        if full:
            chunks.append(ordered[begin:end])
            begin = end
    return chunks
