"""Members on disk and back: adapters in the layout of PEFT, heads and n-grams beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from fucina import run
from fucina.errors import RunError
from fucina.models.build import build
from fucina.models.by_class import ByClass
from fucina.models.by_name import ByName
from fucina.models.constrain import Held
from fucina.models.ensemble import Ensemble
from fucina.models.label_words import spell
from fucina.models.lexical import Lexicon, Table
from fucina.models.marker import Marker
from fucina.models.pace import Pace
from fucina.models.peft_format import adapter_config, from_tensors, to_tensors
from fucina.models.stack import Stack
from fucina.models.tags import tag_names
from fucina.models.writer import ROWS, Writer

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base
    from fucina.models.template import Template

__all__ = [
    "load",
    "load_marker",
    "load_writer",
    "member_folder",
    "save_lexicon",
    "save_member",
    "untrained_writer",
]

FORMATS = {"lora": "peft", "full": "full", "head": "head"}
WEIGHTS = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}


def member_folder(folder: Path, recipe: "Recipe", member: int) -> Path:
    """Name the folder of a member: best_model_{format}_{model}_fold{k}; no fold for a single one.

    Example:
        >>> from fucina.recipe import parse
        >>> text = "{task: classification, name: a, data: {train: a}, folds: {count: 3}}"
        >>> recipe, _ = parse(text, ["model.base=favilla-encoder"])
        >>> member_folder(Path("run"), recipe, 0).name
        'best_model_peft_favilla-encoder_fold1'
    """
    base = Path(recipe.model.base).name or "base"
    name = f"best_model_{FORMATS[recipe.adapter.kind]}_{base}"
    return folder / (f"{name}_fold{member + 1}" if recipe.folds.count else name)


def save_member(
    folder: Path, stack: Stack, recipe: "Recipe", state: Tensor, lexical: Table | None
) -> None:
    """Write one member: adapter_model.safetensors, adapter_config.json, head.safetensors.

    Args:
        folder: Where it goes.
        stack: The stack it was trained in.
        recipe: For the adapter's settings.
        state: Its P + H numbers.
        lexical: What the n-grams say, or None.
    """
    size = stack.adapters.shape[1]
    adapter, head = state[:size], state[size:]
    facts = {"base_fingerprint": stack.base.fingerprint, "pooling": stack.base.pooling}
    if recipe.adapter.kind == "lora":
        run.write_tensors(folder / "adapter_model.safetensors", to_tensors(stack, adapter), facts)
        run.write_json(folder / "adapter_config.json", adapter_config(stack, recipe.adapter))
    elif recipe.adapter.kind == "full":
        run.write_tensors(folder / "model.safetensors", to_tensors(stack, adapter), facts)
    if not stack.labels:
        return
    split = stack.base.width * stack.labels
    tensors = {
        "weight": head[:split].view(stack.base.width, stack.labels).t(),
        "bias": head[split:],
    }
    if lexical is not None:
        tensors["lexical"] = torch.from_numpy(lexical.weights.astype(np.float32))
        tensors["rarity"] = torch.from_numpy(lexical.rarity)
    run.write_tensors(folder / "head.safetensors", tensors, facts)


def save_lexicon(folder: Path, lexicon: Lexicon) -> None:
    """Write the n-grams, once for all members."""
    run.write_json(folder / "lexicon.json", list(lexicon.ngrams))


def load(
    folder: Path, recipe: "Recipe", base: "Base", labels: Sequence[str], *, workers: int
) -> Ensemble:
    """Load all members of a run, ready to answer with labels.

    Raises:
        RunError: A file is missing or broken, or the base is not the one it was trained on.
    """
    if recipe.model.head == "words":
        names = spell(labels, cast("Template", base.template))
        weigher = ByName(base, _unheaded(folder, recipe, base, workers), names)
    else:
        weigher = _by_class(folder, recipe, base, len(labels), workers)
    temperature, threshold = _calibration(folder)
    how = recipe.folds.ensemble
    return Ensemble(base, tuple(labels), weigher, how, temperature, threshold)


def load_marker(
    folder: Path, recipe: "Recipe", base: "Base", types: Sequence[str], *, workers: int
) -> Marker:
    """Load all members of a run, ready to mark spans.

    Raises:
        RunError: A file is missing or broken, or the base is not the one it was trained on.
    """
    headed = _by_class(folder, recipe, base, len(tag_names(types)), workers)
    temperature, _ = _calibration(folder)
    return Marker(base, headed.stacks, tuple(types), headed.lexicon, headed.lexical, temperature)


def _by_class(folder: Path, recipe: "Recipe", base: "Base", labels: int, workers: int) -> ByClass:
    """The members of a run that have heads of classes."""
    stacks: list[Stack] = []
    lexical: list[Table | None] = []
    for group in _groups(recipe):
        stack = build(
            base, recipe.adapter, members=len(group), labels=labels, seed=0, workers=workers
        )
        adapters, heads = [], []
        for member in group:
            own = member_folder(folder, recipe, member)
            tensors = run.read_tensors(own / "head.safetensors")
            _check_base(own / "head.safetensors", base)
            heads.append(torch.cat([tensors["weight"].t().flatten(), tensors["bias"]]))
            adapters.append(_adapter(own, stack, recipe))
            lexical.append(_table(tensors))
        stack.bind(torch.stack(adapters).to(stack.device), torch.stack(heads).to(stack.device))
        stacks.append(stack)
    return ByClass(base, tuple(stacks), _lexicon(folder), tuple(lexical))


def load_writer(
    folder: Path,
    recipe: "Recipe",
    base: "Base",
    *,
    workers: int,
    held: Held | None = None,
    pace: Pace | None = None,
) -> Writer:
    """Load all members of a run, ready to write; `held` is what their answers are held to.

    Raises:
        RunError: A file is missing or broken, or the base is not the one it was trained on.
    """
    stacks = _unheaded(folder, recipe, base, workers, whole=True)
    return Writer(base, stacks, recipe.chat.max_new_tokens, held, pace or Pace(ROWS))


def _unheaded(
    folder: Path, recipe: "Recipe", base: "Base", workers: int, *, whole: bool = False
) -> tuple[Stack, ...]:
    """The members of a run that have no head of their own, because they write."""
    stacks = []
    for group in _groups(recipe):
        stack = build(
            base, recipe.adapter, members=len(group), labels=0, seed=0, workers=workers, whole=whole
        )
        adapters = []
        for member in group:
            own = member_folder(folder, recipe, member)
            adapters.append(_adapter(own, stack, recipe))
            _check_base(own / WEIGHTS[recipe.adapter.kind], base)
        stack.bind(torch.stack(adapters).to(stack.device), stack.heads)
        stacks.append(stack)
    return tuple(stacks)


def untrained_writer(
    recipe: "Recipe",
    base: "Base",
    *,
    workers: int,
    held: Held | None = None,
    pace: Pace | None = None,
) -> Writer:
    """The base alone: adapters start as the identity."""
    head = recipe.adapter.model_copy(update={"kind": "head"})
    stack = build(base, head, members=1, labels=0, seed=0, workers=workers, whole=True)
    return Writer(base, (stack,), recipe.chat.max_new_tokens, held, pace or Pace(ROWS))


def _groups(recipe: "Recipe") -> list[list[int]]:
    """Which members share a stack: all, or none where all weights were trained."""
    every = range(recipe.folds.count or 1)
    return [[i] for i in every] if recipe.adapter.kind == "full" else [list(every)]


def _calibration(folder: Path) -> tuple[float, float]:
    """Temperature and threshold of a run; runs of older versions have none."""
    path = folder / "calibration.json"
    facts = run.read_json(path) if path.is_file() else {}
    return facts.get("temperature", 1.0), facts.get("threshold") or 0.0


def _table(tensors: dict[str, Tensor]) -> Table | None:
    if "lexical" not in tensors:
        return None
    return Table(tensors["rarity"].numpy(), tensors["lexical"].double().numpy())


def _adapter(folder: Path, stack: Stack, recipe: "Recipe") -> Tensor:
    if recipe.adapter.kind == "head":
        return torch.zeros(0)
    return from_tensors(stack, run.read_tensors(folder / WEIGHTS[recipe.adapter.kind]))


def _check_base(path: Path, base: "Base") -> None:
    facts = run.read_facts(path)
    if facts.get("base_fingerprint") != base.fingerprint:
        raise RunError(
            f"{path.parent.name} was trained on another version of {base.name}.",
            fix="Put the base model it was trained on in place, or train again.",
        )


def _lexicon(folder: Path) -> Lexicon | None:
    path = folder / "lexicon.json"
    return Lexicon(tuple(run.read_json(path))) if path.is_file() else None
