"""What members need to learn texts, made once: conversations as tokens, trunk activations."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from fucina.errors import DataError, TrainingError
from fucina.models.build import build
from fucina.models.conversations import Written, write
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

__all__ = ["prepare_texts"]


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
        TrainingError: The adapter is a head alone, which writes nothing.
    """
    if recipe.adapter.kind == "head" or base.template is None:
        raise TrainingError(
            "adapter.kind: head learns a layer for labels, and this task answers with text.",
            fix="Set adapter.kind: lora, or full.",
        )
    written = write(
        split.development.examples,
        base.template,
        max_length_tokens=base.max_length_tokens,
        progress=hooks.progress,
    )
    _refuse_lost(split, written, base)
    if written.cut:
        hooks.tell(
            f"{len(written.cut)} of {len(written)} conversations are longer than "
            f"{base.max_length_tokens} tokens and lose their oldest turns; no answer is cut."
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
        out_of_fold=lambda members: _out_of_fold(split, members),
        truncated=written.cut,
        longest_tokens=written.longest_tokens,
    )


def _refuse_lost(split: Split, written: Written, base: "Base") -> None:
    if not written.lost:
        return
    names = ", ".join(split.development.examples[row].origin for row in written.lost[:5])
    raise DataError(
        f"{len(written.lost)} answers do not fit in {base.max_length_tokens} tokens ({names}).",
        fix=f"Set model.max_length_tokens={written.longest_tokens} if the base reads so many, or "
        "shorten or delete these rows.",
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


def _out_of_fold(split: Split, members: Sequence[Member]) -> Texts:
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
