"""Labels that a decoder would write: prompts as tokens, and the names of all labels behind each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fucina.errors import ModelError
from fucina.models.conversations import TextBatch, Written, assemble_texts, common_beginning
from fucina.models.prefix import AGREES, AGREES_COARSELY, begin, run_after
from fucina.models.template import Template
from fucina.models.trie import Trie, plant
from fucina.records import Example, Progress, silent

__all__ = ["Asked", "Names", "ask", "row_scores", "spell", "weighs_together"]

PROBE = "?"  # a prompt to write labels behind
TRIED = 8  # labels that are weighed both ways to see whether a network can weigh them together


@dataclass(frozen=True)
class Names:
    """The names of c labels as a model writes them.

    Attributes:
        labels: As people write them.
        tokens: Of each, its end token included.
        trie: The same as one tree.
    """

    labels: tuple[str, ...]
    tokens: tuple[np.ndarray, ...]
    trie: Trie

    @property
    def longest(self) -> int:
        """Tokens of the longest name."""
        return max(map(len, self.tokens))


@dataclass(frozen=True)
class Asked:
    """n prompts as tokens, each up to where the model begins to answer.

    Attributes:
        prompts: Their tokens.
        prefix: P, how many tokens all of them begin with; 0 where that is too few.
        cut: Rows whose text was too long and lost its end.
        longest_tokens: Tokens of the longest row, with the longest name, before it was cut.
    """

    prompts: tuple[np.ndarray, ...]
    prefix: int
    cut: tuple[int, ...]
    longest_tokens: int

    def answered(self, names: Names, codes: Sequence[int] | np.ndarray) -> Written:
        """The rows as a model learns them: behind each prompt the name of its label.

        Args:
            names: Of the labels.
            codes: n numbers of labels.
        """
        tails = [names.tokens[code] for code in codes]
        ids = [np.concatenate(pair) for pair in zip(self.prompts, tails, strict=True)]
        learnt = [
            np.arange(len(row)) >= len(prompt)
            for row, prompt in zip(ids, self.prompts, strict=True)
        ]
        return self._rows(ids, learnt, None)

    def weighed(self, names: Names, *, together: bool) -> tuple[Written, ...]:
        """The rows as labels are weighed: all names behind each prompt, or one after the other.

        Returns:
            Rows that end with the tree of names; or c times all rows, with one name each.
        """
        if not together:
            n = len(self.prompts)
            return tuple(self.answered(names, [code] * n) for code in range(len(names.labels)))
        ids = [np.concatenate([prompt, names.trie.ids]) for prompt in self.prompts]
        return (self._rows(ids, [np.zeros(len(row), dtype=bool) for row in ids], names.trie),)

    def take(self, rows: Sequence[int]) -> "Asked":
        """The prompts at `rows`, in that order."""
        return replace(self, prompts=tuple(self.prompts[row] for row in rows))

    def _rows(self, ids: list[np.ndarray], learnt: list[np.ndarray], trie: Trie | None) -> Written:
        return Written(
            tuple(ids), tuple(learnt), self.prefix, self.cut, (), self.longest_tokens, trie
        )


def spell(labels: Sequence[str], template: Template) -> Names:
    """Write the names of labels as a model would write them.

    Args:
        labels: c names.
        template: How the model wants turns.

    Raises:
        ModelError: Two names become the same tokens, or the template joins a name to what stands
            before it.
    """
    before = template.asked(Example(PROBE, ""))
    found: list[np.ndarray] = []
    for label in labels:
        rendered = template.render(Example(PROBE, label))
        first = int(rendered.supervised.argmax())
        if not np.array_equal(rendered.ids[:first], before):
            raise ModelError(
                f"the chat template ({template.name}) writes label {label!r} in tokens that begin "
                "before the answer does.",
                fix="Set chat.template: chatml, or model.head: classes.",
            )
        found.append(rendered.ids[rendered.supervised])
    spelled: dict[tuple[int, ...], str] = {}
    for label, tokens in zip(labels, found, strict=True):
        other = spelled.setdefault(tuple(tokens.tolist()), label)
        if other != label:
            raise ModelError(
                f"the tokenizer of model.base writes labels {other!r} and {label!r} alike.",
                fix="Rename one of them, or set model.head: classes.",
            )
    return Names(tuple(labels), tuple(found), plant(found))


def ask(
    prompts: Sequence[str],
    names: Names,
    template: Template,
    *,
    most: int,
    progress: Progress = silent,
) -> Asked:
    """Write n prompts as a model is given them; of a text that is too long the end is left out.

    Args:
        prompts: The texts.
        names: Of the labels; the longest must fit behind each prompt.
        template: How the model wants turns.
        most: Tokens of a row at most.
        progress: Told every 1,000 rows.

    Raises:
        ModelError: The template and the longest name alone are longer.
    """
    room, found, cut, longest = most - names.longest, [], [], 0
    for row, prompt in enumerate(prompts):
        tokens = template.asked(Example(prompt, ""))
        longest = max(longest, len(tokens))
        if len(tokens) > room:
            cut.append(row)
            tokens = _shorter(prompt, tokens, template, room)
        found.append(tokens)
        if (row + 1) % 1000 == 0:
            progress("writing prompts", row + 1, len(prompts))
    shared = common_beginning(found)
    return Asked(tuple(found), shared, tuple(cut), longest + names.longest)


def _shorter(prompt: str, tokens: np.ndarray, template: Template, room: int) -> np.ndarray:
    """The tokens of a prompt without as much of the end of its text as must go."""
    read = template.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
    ends = [end for _, end in read["offset_mapping"]]
    while len(tokens) > room:
        ends = ends[: max(0, len(ends) - (len(tokens) - room))]
        tokens = template.asked(Example(prompt[: ends[-1]] if ends else "", ""))
        if not ends and len(tokens) > room:
            raise ModelError(
                f"what the chat template writes around a text does not fit in {room} tokens.",
                fix="Raise model.max_length_tokens, shorten chat.system, or set model.head: "
                "classes.",
            )
    return tokens


def row_scores(
    batch: TextBatch, written: Written, hidden: Tensor, head: nn.Module, *, cap: float
) -> Tensor:
    """Log-probability of each name behind each row, k*b x c; of straight rows k*b x 1.

    Args:
        batch: The rows.
        written: What they were assembled from.
        hidden: The states that foretell their tokens.
        head: The layer that writes tokens.
        cap: Logits are bent to stay within this; 0 for not.
    """
    from fucina.models.word_loss import step_losses, token_scores

    if written.trie is None:
        losses, _ = token_scores(hidden, head, batch.targets, cap=cap)
        sums = torch.zeros(len(batch.ids), 1, device=losses.device)
        return -sums.index_add_(0, batch.rows, losses[:, None])
    trie, each = written.trie, hidden.view(len(batch.ids), -1, hidden.shape[-1])
    sources, targets = torch.from_numpy(trie.sources + 1), torch.from_numpy(trie.targets)
    losses = step_losses(each, head, sources.to(each.device), targets.to(each.device), cap=cap)
    return -losses @ torch.from_numpy(trie.paths.T).to(losses)


def weighs_together(body: nn.Module, names: Names, template: Template) -> bool:
    """Whether a network gives the same states to a tree of names as to each name alone.

    It does where attention and positions are as they are given; the tree is run behind a
    beginning that was run before, so that this is tried too.

    Args:
        body: The bare transformer.
        names: Of the labels.
        template: How the model wants turns.
    """
    some = Names(names.labels[:TRIED], names.tokens[:TRIED], plant(names.tokens[:TRIED]))
    prompt = template.asked(Example(PROBE, ""))
    device = next(body.parameters()).device
    asked = Asked((prompt,), max(1, len(prompt) // 2), (), len(prompt) + names.longest)
    (tree,) = asked.weighed(some, together=True)
    worst = 0.0
    with torch.no_grad():
        try:
            batch = assemble_texts(tree, np.zeros((1, 1), dtype=int), 0).to(device)
            first = torch.from_numpy(prompt[None, : asked.prefix]).to(device)
            states = run_after(
                body, batch.ids, batch.mask, begin(body, first), branches=batch.branches
            )[0]
        except (RuntimeError, TypeError, ValueError, KeyError, AttributeError):
            return False  # a network that takes no positions, or no masks of this shape
        at = len(prompt) - asked.prefix
        for code, tokens in enumerate(some.tokens):
            row = torch.from_numpy(np.concatenate([prompt, tokens[:-1]]))[None].to(device)
            alone = body(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state[0]
            steps = tree.trie.sources[tree.trie.paths[code]] if tree.trie else np.zeros(0, int)
            beside = states[torch.from_numpy(at + steps).to(device)]
            alone = alone[len(prompt) - 1 :]
            worst = max(worst, float((alone - beside).float().norm() / alone.float().norm()))
    return worst < (AGREES if states.dtype == torch.float32 else AGREES_COARSELY)
