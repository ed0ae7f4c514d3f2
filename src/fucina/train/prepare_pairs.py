"""What members need to learn with an encoder-decoder, made once: tokens, what frozen layers say."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import torch

from fucina.models.build import build
from fucina.models.conversations import common_beginning, refuse_lost
from fucina.models.halves import ignored
from fucina.models.pairing import Pairing
from fucina.models.pairs import Pairs, pair
from fucina.models.reader import keep
from fucina.models.threads import count
from fucina.records import Dataset, Split
from fucina.train.members import Hooks, Prepared
from fucina.train.pairs import PAIRS, PairMaterial
from fucina.train.prepare_labels import fits_in_memory
from fucina.train.prepare_texts import held_out_texts

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base

__all__ = ["prepare_pairs"]


def prepare_pairs(
    split: Split,
    base: "Base",
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> Prepared:
    """Write the rows as tokens, and run the frozen layers once over them.

    Args:
        split: Rows and folds.
        base: The frozen encoder-decoder, with how rows are given to it.
        recipe: Its adapter section.
        threads: Threads that compute, one core each.
        hooks: Where to report.

    Raises:
        DataError: An answer is too long to be learnt.
    """
    pairing, most = cast("Pairing", base.template), base.max_length_tokens
    for rows in (split.test, split.development):  # a test row that cannot be judged shows early
        pairs = pair(rows.examples, pairing, max_length_tokens=most, progress=hooks.progress)
        refuse_lost(pairs, rows.examples, most)
    _tell(pairs, split.development, base, recipe, hooks)
    probe = build(
        base, recipe.adapter, members=1, labels=0, seed=recipe.seed, workers=count(threads)
    )
    kept, tokens = None, int(pairs.source_lengths.sum())
    if probe.reader is not None:
        tokens += int(pairs.target_lengths.sum()) if probe.reader.depth else 0
        if fits_in_memory(tokens, base.width, hooks):
            kept = keep(probe.reader, pairs, threads=threads, progress=hooks.progress)
    hooks.lap("reading")

    def material(group: Sequence[int]) -> PairMaterial:
        return PairMaterial(pairs, tuple(split.folds[i] for i in group), kept)

    return Prepared(
        kind=PAIRS,
        labels=0,
        heads=torch.zeros(len(split.folds), 0, device=probe.device),
        material=material,
        lexicon=None,
        lexical=(None,) * len(split.folds),
        out_of_fold=lambda members: held_out_texts(split, members),
        truncated=pairs.cut,
        longest_tokens=pairs.longest_tokens,
        read=pairs.lengths,
        learnt=pairs.weights,
    )


def _tell(pairs: Pairs, rows: Dataset, base: "Base", recipe: "Recipe", hooks: Hooks) -> None:
    """Say what is cut, what is not learnt, and which shortcuts are off, and why."""
    if pairs.cut:
        hooks.tell(
            f"{len(pairs.cut)} of {len(pairs)} inputs are longer than {base.max_length_tokens} "
            "tokens and lose their oldest turns, then their end; no answer is cut."
        )
    several = sum(
        sum(turn.role == "assistant" for turn in row.messages) > 1 for row in rows.examples
    )
    if several:
        hooks.tell(
            f"{several} of {len(rows)} conversations hold earlier answers: an encoder-decoder "
            "reads them and learns the last one only."
        )
    unknown = base.tokenizer.unk_token_id
    unwritable = sum(bool((target == unknown).any()) for target in pairs.targets)
    if unwritable:
        hooks.tell(
            f"{unwritable} of {len(pairs)} answers hold characters that the tokenizer of "
            f"{base.name} does not have (as T5's lacks braces): they are learnt as unknown, and "
            "cannot be written."
        )
    shared = common_beginning(pairs.sources)
    if shared:
        hooks.tell(
            f"all inputs begin with the same {shared} tokens, which are read in every row: an "
            "encoder looks both ways, so what it makes of them depends on what follows."
        )
    if recipe.adapter.layers == "all":
        hooks.tell(
            "adapter.layers=all trains the encoder too, so it reads all inputs in every epoch; "
            f"adapter.layers={base.depth} would train the decoder alone and read them once."
        )
    elif base.halves is not None and not base.halves.stands and recipe.adapter.layers < base.depth:
        hooks.tell(
            f"the frozen layers of the decoder run in every step: {base.name} gives other numbers "
            "when their states are kept. Its encoder reads all inputs once."
        )
    without = ignored(base.network)
    if without:
        hooks.tell(
            f"the generation_config.json of {base.name} asks for {', '.join(without)}: answers are "
            "written without, the likeliest token each time."
        )
