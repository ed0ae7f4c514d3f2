"""Conversations as rows of tokens: cut to what a model reads, and what they share told apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fucina.errors import DataError
from fucina.models.opening import cut_middle, opening
from fucina.models.prefix import Branches
from fucina.models.shorter import shorter
from fucina.models.template import Rendered, Template
from fucina.models.trie import Trie
from fucina.records import Example, Progress, silent

if TYPE_CHECKING:
    from fucina.models.pairs import Pairs
    from fucina.models.trunk import Activations

__all__ = [
    "LEAST_SHARED",
    "TextBatch",
    "Written",
    "assemble_texts",
    "common_beginning",
    "refuse_lost",
    "write",
]

LEAST_SHARED = 16  # tokens; a shorter beginning is not worth a pass of its own


@dataclass(frozen=True)
class Written:
    """n conversations as tokens.

    Attributes:
        ids: n arrays of token ids, without padding.
        learnt: n arrays of booleans: this token is learnt.
        prefix: P, how many tokens all rows begin with; 0 where that is too few.
        cut: Rows that were too long and lost what stood between their beginning and their end.
        lost: Rows whose answer alone is too long; nothing is learnt of them.
        longest_tokens: Tokens of the longest row before it was cut.
        trie: What all rows end with, where several answers are weighed; None for straight rows.
    """

    ids: tuple[np.ndarray, ...]
    learnt: tuple[np.ndarray, ...]
    prefix: int
    cut: tuple[int, ...]
    lost: tuple[int, ...]
    longest_tokens: int
    trie: Trie | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of the n rows behind the shared beginning."""
        return np.array([len(row) - self.prefix for row in self.ids])

    @property
    def weights(self) -> np.ndarray:
        """Learnt tokens of the n rows."""
        return np.array([float(row.sum()) for row in self.learnt])

    def without_prefix(self) -> "Written":
        """The same rows, with nothing shared."""
        return replace(self, prefix=0)


@dataclass(frozen=True)
class TextBatch:
    """Rows of k members behind their shared beginning, padded to length L, with T tokens learnt.

    Attributes:
        ids: k*b x L token ids.
        mask: k*b x L, 1 where there is a token.
        hidden: k*b x L x d trunk activations; None when the trunk has to run.
        places: T places in k*b*L from which a learnt token is foretold: the one before it.
        targets: T learnt tokens; none where rows branch, whose places foretell several.
        rows: T numbers of the row, 0 to k*b - 1, that each belongs to.
        members: k.
        branches: Where rows end with a trie; None for straight rows.
    """

    ids: Tensor
    mask: Tensor
    hidden: Tensor | None
    places: Tensor
    targets: Tensor
    rows: Tensor
    members: int
    branches: Branches | None = None

    def to(self, device: torch.device) -> "TextBatch":
        """The same batch where the network computes."""
        moved = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor | Branches)
        }
        return replace(self, **moved)

    def with_hidden(self, hidden: Tensor) -> "TextBatch":
        """The same batch with trunk activations."""
        return replace(self, hidden=hidden)


def write(
    examples: Sequence[Example],
    template: Template,
    *,
    max_length_tokens: int,
    progress: Progress = silent,
) -> Written:
    """Write conversations as tokens.

    Of a row that is too long the oldest exchanges are left out; where that is not enough, the
    beginning of the last question. What stands before its words, the last answer and its end token
    are never cut.

    Args:
        examples: n rows.
        template: How the model wants turns.
        max_length_tokens: The most tokens of a row.
        progress: Told every 1,000 rows.

    Raises:
        DataError: The template refuses a row.
    """
    found: list[Rendered] = []
    cut: list[int] = []
    longest = 0
    for row, example in enumerate(examples):
        rendered = template.render(example)
        longest = max(longest, len(rendered.ids))
        if len(rendered.ids) > max_length_tokens:
            cut.append(row)
            rendered = shorter(example, template, max_length_tokens)
        found.append(rendered)
        if (row + 1) % 1000 == 0:
            progress("writing conversations", row + 1, len(examples))
    long = [row for row in cut if len(found[row].ids) > max_length_tokens]
    kept = {row: opening(examples[row], template) for row in long}
    shared = _shared(found, min(kept.values(), default=max_length_tokens))
    lost, ids, learnt = [], [], []
    for row, rendered in enumerate(found):
        tokens, marks = rendered.ids, rendered.supervised
        if row in kept:
            rest = max_length_tokens - kept[row]
            answer = _last_answer(marks)
            if len(tokens) - answer + 1 > rest:
                lost.append(row)
            begin = len(tokens) - rest
            if begin < answer:  # an earlier answer without its beginning is not worth learning
                torn = begin + int(np.argmin(marks[begin:answer])) if marks[begin] else begin
                marks = np.concatenate([marks[:begin], np.zeros(torn - begin, bool), marks[torn:]])
            tokens = cut_middle(tokens, kept[row], max_length_tokens)
            marks = cut_middle(marks, kept[row], max_length_tokens)
        ids.append(tokens)
        learnt.append(np.zeros_like(marks) if row in lost else marks)
    return Written(tuple(ids), tuple(learnt), shared, tuple(cut), tuple(lost), longest)


def refuse_lost(written: "Written | Pairs", examples: Sequence[Example], most: int) -> None:
    """Stop where an answer alone is longer than what a model reads.

    Args:
        written: The rows as `write` made them.
        examples: The same rows.
        most: Tokens that the model reads.

    Raises:
        DataError: Names the rows.
    """
    if not written.lost:
        return
    names = ", ".join(examples[row].origin or f"row {row + 1}" for row in written.lost[:5])
    more = f" and {len(written.lost) - 5} more" if len(written.lost) > 5 else ""
    raise DataError(
        f"{len(written.lost)} answer(s) do not fit in {most} tokens ({names}{more}).",
        fix=f"Set model.max_length_tokens={written.longest_tokens} if the base reads so many, or "
        "shorten these rows; fucina audit RECIPE --fix FOLDER leaves them out.",
    )


def _last_answer(marks: np.ndarray) -> int:
    """Where the last run of learnt tokens begins."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], marks]).astype(np.int8)) == 1)
    return int(steps[-1]) if len(steps) else len(marks)


def common_beginning(rows: Sequence[np.ndarray]) -> int:
    """How many tokens n rows begin with, at least one less than the shortest has; 0 where few.

    Example:
        >>> common_beginning([np.arange(20), np.arange(30)]), common_beginning([np.arange(3)] * 2)
        (19, 0)
    """
    if len(rows) < 2:
        return 0
    most = min(map(len, rows)) - 1
    for row in rows:
        same = row[:most] == rows[0][:most]
        most = most if same.all() else int(same.argmin())
    return most if most >= LEAST_SHARED else 0


def _shared(rows: Sequence[Rendered], kept: int) -> int:
    """How many tokens all rows begin with, before any that is learnt, foretells one or is cut."""
    firsts = [int(row.supervised.argmax()) for row in rows if row.supervised.any()]
    most = min(
        common_beginning([row.ids for row in rows]), max(min(firsts, default=0) - 1, 0), kept
    )
    return most if most >= LEAST_SHARED else 0


def assemble_texts(
    written: Written, rows: np.ndarray, pad_id: int, *, store: "Activations | None" = None
) -> TextBatch:
    """Pad the rows of k members into one batch, without the beginning they share.

    Args:
        written: All conversations.
        rows: k x b indices into `written`.
        pad_id: The token that fills up.
        store: Trunk activations of the same rows behind their beginning.
    """
    order = rows.reshape(-1)
    own = [written.ids[row][written.prefix :] for row in order]
    marks = [written.learnt[row][written.prefix :] for row in order]
    longest = max(map(len, own))
    ids = np.full((len(order), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(order), longest), dtype=np.int64)
    places, targets, whose = [], [], []
    for i, (tokens, learnt) in enumerate(zip(own, marks, strict=True)):
        ids[i, : len(tokens)] = tokens
        mask[i, : len(tokens)] = 1
        learnt_at = np.flatnonzero(learnt)
        learnt_at = learnt_at[learnt_at > 0]  # nothing stands before the first token of all
        places.append(i * longest + learnt_at - 1)
        targets.append(tokens[learnt_at])
        whose.append(np.full(len(learnt_at), i))
    branches = None
    if written.trie is not None:
        ends = np.array([len(tokens) - len(written.trie) for tokens in own])
        places, whose = written.trie.places(ends, longest)
        branches = Branches(*map(torch.from_numpy, written.trie.branches(ends, longest)))
    hidden = None if store is None else store.padded(order, mask)
    at, learnt_ids, numbers = (
        torch.from_numpy(np.concatenate(part)) for part in (places, targets, whose)
    )
    return TextBatch(
        torch.from_numpy(ids),
        torch.from_numpy(mask),
        hidden,
        at,
        learnt_ids,
        numbers,
        rows.shape[0],
        branches,
    )
