"""Train the members of a run: one model, or one a fold, all from the same floor upwards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from fucina.models.build import build
from fucina.models.lexical import Lexicon, Table
from fucina.models.stack import Stack
from fucina.models.threads import count
from fucina.records import Predictions, Spans, Split, Texts, silent
from fucina.tasks.settings import learnt_as
from fucina.train.checkpoint import State
from fucina.train.elsewhere import require, take_over, teach
from fucina.train.fit import fit
from fucina.train.members import Hooks, Member
from fucina.train.prepare_label_words import prepare_label_words
from fucina.train.prepare_labels import prepare_labels
from fucina.train.prepare_pairs import prepare_pairs
from fucina.train.prepare_spans import prepare_spans
from fucina.train.prepare_texts import prepare_texts
from fucina.train.stopping import max_ratio
from fucina.train.texts import TextMaterial

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base

__all__ = ["Fit", "Memory", "cross_validate"]

PREPARE = {"label": prepare_labels, "text": prepare_texts, "spans": prepare_spans}


@dataclass(frozen=True)
class Memory:
    """How training remembers itself: one state a group of members.

    Attributes:
        save: Called after each epoch with the group's number and its state.
        load: Gives the state to go on from; None to start.
    """

    save: Callable[[int, State], None] = silent
    load: Callable[[int], State | None] = silent


@dataclass(frozen=True)
class Fit:
    """What training leaves behind.

    Attributes:
        members: The k members with the weights they keep.
        stacks: The stacks they were trained in, to name their parameters.
        lexicon: The n-grams, or forms of words; None without a lexical part.
        lexical: For each member what the n-grams say, or None.
        out_of_fold: Every held-out row answered by the member that did not train on it.
        held_out: The development rows of `out_of_fold`, in its order.
        truncated: Development rows longer than the limit.
        longest_tokens: Tokens of the longest one.
        read: n counts of tokens of the development rows.
        learnt: n counts of those that are learnt; none where labels are.
    """

    members: tuple[Member, ...]
    stacks: tuple[Stack, ...]
    lexicon: Lexicon | None
    lexical: tuple[Table | None, ...]
    out_of_fold: Predictions | Texts | Spans
    held_out: tuple[int, ...]
    truncated: tuple[int, ...]
    longest_tokens: int
    read: np.ndarray
    learnt: np.ndarray


def cross_validate(
    split: Split,
    base: "Base",
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
    memory: Memory,
) -> Fit:
    """Train one member a fold of the split.

    Members with adapters train together in one stack; members that train all weights go one
    after the other. The floor of each member is fitted on its own training rows alone.

    Args:
        split: Rows and folds.
        base: The frozen model.
        recipe: Its model, adapter, training, loss and stopping sections.
        threads: Threads that compute, one core each.
        hooks: Where to report.
        memory: Where to save, and what to resume from.
    """
    outside = recipe.engine.backend == "unsloth"
    if outside:
        require(recipe.engine.python, base)
    form = learnt_as(recipe)
    ratio = max_ratio(recipe.stopping, recipe.training.loss, labels=form == "label")
    prepare = PREPARE[form] if base.halves is None else prepare_pairs
    if form == "text" and split.labels:
        prepare = prepare_label_words
    prepared = prepare(split, base, recipe, threads=threads, hooks=hooks)
    every = range(len(split.folds))
    groups = [[i] for i in every] if recipe.adapter.kind == "full" else [list(every)]
    members: list[Member] = []
    stacks: list[Stack] = []
    for number, group in enumerate(groups):
        material = prepared.material(group)
        taught = [
            teach(i, cast("TextMaterial", material), base, recipe, ratio=ratio, hooks=hooks)
            for i in (group if outside else ())
        ]
        stack = build(
            base,
            recipe.adapter,
            members=len(group),
            labels=prepared.labels,
            seed=recipe.seed,
            workers=count(threads),
            checkpointing=recipe.engine.checkpointing is True,
        )
        stack.bind(stack.adapters, prepared.heads[group])
        own = _for_group(hooks, group[0])
        if outside:
            done = take_over(stack, material, prepared.kind, taught, own, threads)
        else:
            done = fit(
                stack,
                material,
                prepared.kind,
                recipe.training,
                recipe.stopping,
                run=(recipe.seed, ratio, threads),
                hooks=replace(own, save=lambda state, number=number: memory.save(number, state)),
                optimizer=recipe.engine.optimizer,
                resume=memory.load(number),
            )
        members += [replace(member, index=group[member.index]) for member in done]
        stacks.append(stack)
    hooks.lap("training")
    held = tuple(row for fold in split.folds for row in fold.held_out)
    return Fit(
        members=tuple(members),
        stacks=tuple(stacks),
        lexicon=prepared.lexicon,
        lexical=prepared.lexical,
        out_of_fold=prepared.out_of_fold(members),
        held_out=held,
        truncated=prepared.truncated,
        longest_tokens=prepared.longest_tokens,
        read=prepared.read,
        learnt=prepared.learnt,
    )


def _for_group(hooks: Hooks, first: int) -> Hooks:
    """Report members by their number in the whole run."""
    if not first:
        return hooks
    return replace(
        hooks,
        epoch=lambda epoch: hooks.epoch(replace(epoch, member=epoch.member + first)),
        improved=lambda stack, member: hooks.improved(
            stack, replace(member, index=member.index + first)
        ),
        every_epoch=lambda stack, member, epoch, state: hooks.every_epoch(
            stack, member + first, epoch, state
        ),
        tell=lambda message: hooks.tell(message.replace("member 1", f"member {first + 1}")),
    )
