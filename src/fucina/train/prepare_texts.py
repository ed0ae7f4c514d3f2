"""What members need to learn texts, made once: conversations as tokens, trunk activations."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from fucina.models.build import build
from fucina.models.conversations import Written, refuse_lost, write
from fucina.models.prefix import agrees
from fucina.models.threads import count
from fucina.models.trunk import text_activations
from fucina.records import Split, Texts
from fucina.train.members import Hooks, Member, Prepared
from fucina.train.prepare_labels import fits_in_memory
from fucina.train.texts import TEXTS, TextMaterial

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base
    from fucina.models.template import Template

__all__ = ["held_out_texts", "prepare_texts"]


def prepare_texts(
    split: Split,
    base: "Base",
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> Prepared:
    """Write the conversations as tokens, and run the trunk once over them.

    Args:
        split: Rows and folds.
        base: The frozen model, with its template.
        recipe: Its model and adapter sections.
        threads: Threads that compute, one core each.
        hooks: Where to report.

    Raises:
        DataError: An answer is too long to be learnt.
    """
    template, most = cast("Template", base.template), base.max_length_tokens
    for rows in (split.test, split.development):  # a test row that cannot be judged shows early
        written = write(rows.examples, template, max_length_tokens=most, progress=hooks.progress)
        refuse_lost(written, rows.examples, most)
        if written.cut:
            which = "test rows" if rows is split.test else "conversations"
            hooks.tell(
                f"{len(written.cut)} of {len(written)} {which} are longer than {most} tokens and "
                "lose their oldest turns, or the beginning of what is asked; no answer is cut."
            )
    if recipe.chat.max_new_tokens > base.positions // 2:
        hooks.tell(
            f"chat.max_new_tokens={recipe.chat.max_new_tokens} is more than half of the "
            f"{base.positions} tokens that {base.name} can hold: a prompt keeps half of them, and "
            "an answer ends where none is left. Lower it to what answers need."
        )
    written = _checked(written, base, hooks)
    probe = build(
        base, recipe.adapter, members=1, labels=0, seed=recipe.seed, workers=count(threads)
    )
    store, first = None, None
    tokens = int(written.lengths.sum())
    if probe.trunk is not None and fits_in_memory(tokens, base.width, hooks):
        store, first = text_activations(
            probe.trunk, written, threads=threads, progress=hooks.progress
        )
    hooks.lap("reading")

    def material(group: Sequence[int]) -> TextMaterial:
        return TextMaterial(written, tuple(split.folds[i] for i in group), store, first)

    return Prepared(
        kind=TEXTS,
        labels=0,
        heads=torch.zeros(len(split.folds), 0, device=probe.device),
        material=material,
        lexicon=None,
        lexical=(None,) * len(split.folds),
        out_of_fold=lambda members: held_out_texts(split, members),
        truncated=written.cut,
        longest_tokens=written.longest_tokens,
        read=written.lengths + written.prefix,
        learnt=written.weights,
    )


def _checked(written: Written, base: "Base", hooks: Hooks) -> Written:
    """Share the beginning only where this network gives the same with and without."""
    if not written.prefix:
        return written
    body = base.network.get_submodule(base.body)
    longest = written.ids[int(written.lengths.argmax())]
    if agrees(body, torch.from_numpy(longest).to(next(body.parameters()).device), written.prefix):
        hooks.tell(
            f"all conversations begin with the same {written.prefix} tokens, run once a step."
        )
        return written
    hooks.tell(
        f"the beginning of {written.prefix} tokens that all conversations share is run in every "
        f"row: {base.name} gives other numbers when it is run once."
    )
    return written.without_prefix()


def held_out_texts(split: Split, members: Sequence[Member]) -> Texts:
    """The loss of each held-out row; nothing is written while training."""
    held = [row for fold in split.folds for row in fold.held_out]
    sums = np.concatenate([member.held_out for member in members])
    return Texts(
        prompts=tuple(split.development.prompts[row] for row in held),
        targets=tuple(split.development.targets[row] for row in held),
        answers=(),
        losses=sums[:, 0],
        tokens=sums[:, 1],
        ended=np.zeros(len(held), dtype=bool),
    )
