"""What members need to learn labels by their names: rows to learn from, and rows to weigh."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from fucina.models.build import build
from fucina.models.conversations import Written
from fucina.models.label_words import Asked, Names, ask, spell, weighs_together
from fucina.models.stack import Stack
from fucina.models.threads import count
from fucina.models.trunk import text_activations
from fucina.records import Fold, Split
from fucina.train.label_words import LABEL_WORDS
from fucina.train.members import Hooks, Prepared
from fucina.train.prepare_labels import fits_in_memory, label_predictions
from fucina.train.texts import TextMaterial

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base
    from fucina.models.template import Template

__all__ = ["prepare_label_words"]


@dataclass(frozen=True)
class _Reading:
    """How rows are made ready: on which stack, by which threads, and where to report."""

    stack: Stack
    threads: ThreadPoolExecutor
    hooks: Hooks

    def material(self, written: Written, folds: tuple[Fold, ...]) -> TextMaterial:
        """Rows with what the trunk makes of them, unless it would not fit in memory."""
        trunk = self.stack.trunk
        tokens = int(written.lengths.sum())
        if trunk is None or not fits_in_memory(tokens, self.stack.base.width, self.hooks):
            return TextMaterial(written, folds)
        store, first = text_activations(
            trunk, written, threads=self.threads, progress=self.hooks.progress
        )
        return TextMaterial(written, folds, store, first)


def prepare_label_words(
    split: Split,
    base: "Base",
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> Prepared:
    """Write prompts and names as tokens, and run the trunk once over them.

    Args:
        split: Rows and folds.
        base: The frozen model, with its template.
        recipe: Its adapter section.
        threads: Threads that compute, one core each.
        hooks: Where to report.

    Raises:
        ModelError: The names of labels cannot be told apart, or do not fit.
    """
    template = cast("Template", base.template)
    names = spell(split.labels, template)
    most, rows = base.max_length_tokens, split.development
    asked = ask(rows.prompts, names, template, most=most, progress=hooks.progress)
    if asked.cut:
        hooks.tell(
            f"{len(asked.cut)} of {len(rows)} texts are longer than {most} tokens with the name of "
            "a label and lose their end."
        )
    together = weighs_together(base.network.get_submodule(base.body), names, template)
    hooks.tell(_told(asked, names, base, together=together))
    codes = np.array([split.labels.index(target) for target in rows.targets])
    probe = build(
        base, recipe.adapter, members=1, labels=0, seed=recipe.seed, workers=count(threads)
    )
    reading = _Reading(probe, threads, hooks)
    learnt = reading.material(asked.answered(names, codes), split.folds)
    held = sorted({row for fold in split.folds for row in fold.held_out})
    place = {row: number for number, row in enumerate(held)}
    folds = tuple(Fold((), tuple(place[row] for row in fold.held_out)) for fold in split.folds)
    weighed = [
        reading.material(written, folds)
        for written in asked.take(held).weighed(names, together=together)
    ]
    hooks.lap("reading")

    def material(group: Sequence[int]) -> TextMaterial:
        own = tuple(_of_group(one, group) for one in weighed)
        return replace(_of_group(learnt, group), weighed=own, codes=codes)

    return Prepared(
        kind=LABEL_WORDS,
        labels=0,
        heads=torch.zeros(len(split.folds), 0, device=probe.device),
        material=material,
        lexicon=None,
        lexical=(None,) * len(split.folds),
        out_of_fold=lambda members: label_predictions(split, members),
        truncated=asked.cut,
        longest_tokens=asked.longest_tokens,
        read=learnt.written.lengths + learnt.written.prefix,
        learnt=learnt.written.weights,
    )


def _of_group(material: TextMaterial, group: Sequence[int]) -> TextMaterial:
    return replace(material, folds=tuple(material.folds[member] for member in group))


def _told(asked: Asked, names: Names, base: "Base", *, together: bool) -> str:
    if not together:
        return (
            f"the names of the {len(names.labels)} labels are weighed one after the other: "
            f"{base.name} gives other numbers when they share a pass (slower, same result)."
        )
    begun = f" behind {asked.prefix} tokens that all prompts begin with" if asked.prefix else ""
    return (
        f"the names of the {len(names.labels)} labels are weighed in one pass over a prompt{begun}."
    )
