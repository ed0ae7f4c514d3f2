"""What an encoder-decoder reads and writes, as rows of tokens and as batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fucina.models.pairing import Pairing
from fucina.records import Example, Progress, silent

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.reader import Kept

__all__ = ["PairBatch", "Pairs", "assemble_pairs", "padded", "pair"]


@dataclass(frozen=True)
class Pairs:
    """n rows of an encoder-decoder.

    Attributes:
        sources: n arrays of token ids that are read.
        targets: n arrays of token ids that are written, all of them learnt.
        cut: Rows whose source was too long and lost its oldest turns or its end.
        lost: Rows whose answer is too long.
        longest_tokens: Tokens of the longest source or answer before it was cut.
    """

    sources: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    cut: tuple[int, ...]
    lost: tuple[int, ...]
    longest_tokens: int

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens that are read, n."""
        return np.array([len(row) for row in self.sources], dtype=int)

    @property
    def target_lengths(self) -> np.ndarray:
        """Tokens that are written, n."""
        return np.array([len(row) for row in self.targets], dtype=int)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of both, n: batches are made of rows that are alike in it."""
        return self.source_lengths + self.target_lengths

    @property
    def weights(self) -> np.ndarray:
        """Learnt tokens of the n rows."""
        return self.target_lengths.astype(float)


@dataclass(frozen=True)
class PairBatch:
    """Rows of k members: sources padded to length S, answers to length L, T tokens learnt.

    Attributes:
        sources: k*b x S token ids.
        mask: k*b x S, 1 where there is a token.
        ids: k*b x L, what the decoder is given: its start, and the answer without its end.
        read: k*b x S x d, what a frozen encoder makes of the sources; None when it has to run.
        hidden: k*b x L x d, what the frozen layers of the decoder make; None where none is kept.
        places: T places in k*b*L from which a learnt token is foretold.
        targets: T learnt tokens.
        rows: T numbers of the row, 0 to k*b - 1, that each belongs to.
        members: k.
    """

    sources: Tensor
    mask: Tensor
    ids: Tensor
    read: Tensor | None
    hidden: Tensor | None
    places: Tensor
    targets: Tensor
    rows: Tensor
    members: int

    def to(self, device: torch.device) -> "PairBatch":
        """The same batch where the network computes."""
        moved = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def with_read(self, read: Tensor) -> "PairBatch":
        """The same batch with what the encoder makes of its sources."""
        return replace(self, read=read)


def pair(
    examples: Sequence[Example],
    pairing: Pairing,
    *,
    max_length_tokens: int,
    progress: Progress = silent,
) -> Pairs:
    """Write rows as tokens to read and tokens to write.

    A source that is too long loses its oldest exchanges, then its end; an answer is never cut.

    Args:
        examples: n rows.
        pairing: How they become two texts.
        max_length_tokens: The most tokens of a source, and of an answer.
        progress: Told every 1,000 rows.
    """
    sources, targets, cut, lost, longest = [], [], [], [], 0
    for row, example in enumerate(examples):
        source, target = pairing.asked(example), pairing.written(example)
        longest = max(longest, len(source), len(target))
        if len(source) > max_length_tokens:
            cut.append(row)
            source = pairing.asked_within(example, max_length_tokens)
        if len(target) > max_length_tokens:
            lost.append(row)
        sources.append(source)
        targets.append(target)
        if (row + 1) % 1000 == 0:
            progress("writing rows", row + 1, len(examples))
    return Pairs(tuple(sources), tuple(targets), tuple(cut), tuple(lost), longest)


def padded(rows: Sequence[np.ndarray], filler: int) -> tuple[Tensor, Tensor]:
    """Put b rows in one table, filled up on the right, and a mask of what is real.

    Example:
        >>> ids, mask = padded([np.array([5, 1]), np.array([5])], 0)
        >>> ids.tolist(), mask.tolist()
        ([[5, 1], [5, 0]], [[1, 1], [1, 0]])
    """
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), filler, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def assemble_pairs(
    pairs: Pairs, rows: np.ndarray, base: "Base", start: int, *, kept: "Kept | None" = None
) -> PairBatch:
    """Pad the rows of k members into one batch.

    Which tokens are real is known from their count, so a pad token that is also the end token
    is learnt like any other.

    Args:
        pairs: All rows.
        rows: k x b indices into `pairs`.
        base: Whose tokenizer pads.
        start: What the decoder is given first.
        kept: What the frozen layers make of all rows; None to run them.
    """
    order, pad = rows.reshape(-1), base.tokenizer.pad_token_id
    sources, mask = padded([pairs.sources[row] for row in order], pad)
    answers = [pairs.targets[row] for row in order]
    # The decoder foretells each token of the answer from those before it.
    ids, real = padded([np.concatenate([[start], answer[:-1]]) for answer in answers], pad)
    longest = ids.shape[1]
    whose = np.repeat(np.arange(len(order)), [len(answer) for answer in answers])
    return PairBatch(
        sources=sources,
        mask=mask,
        ids=ids,
        read=None if kept is None else kept.sources.padded(order, mask.numpy()),
        hidden=None
        if kept is None or kept.targets is None
        else kept.targets.padded(order, real.numpy()),
        places=torch.from_numpy(
            np.concatenate([i * longest + np.arange(len(a)) for i, a in enumerate(answers)])
        ),
        targets=torch.from_numpy(np.concatenate(answers)),
        rows=torch.from_numpy(whose),
        members=rows.shape[0],
    )
