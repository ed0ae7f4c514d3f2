"""What a recipe asks for and another tool cannot do, a sentence each."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from fucina import tasks

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.export.handover import Handover

__all__ = ["comments", "losses", "unlearnt"]

# A setting, or the section before the point, to what becomes of it elsewhere.
INSTEAD = {
    "task": "the rows are conversations; scores of the task are fucina's",
    "data": "the rows beside this file are read and divided already",
    "folds": "no cross validation: the division of the first fold is written",
    "stopping.keep": "no rollback: the epoch of lowest validation loss is kept",
    "stopping.min_gain": "every fall of the validation loss counts",
    "stopping.max_ratio": "training and validation loss are not compared",
    "stopping.save_every_epoch": "checkpoints are kept as the tool does",
    "chat.constitution": "answers are held to no rules",
    "chat.max_new_tokens": "answers are not written while training",
    "chat.template": "write the template in the tool's own way",
    "adapter.layers": "all layers are adapted",
    "model.pooling": "there is no head of labels",
    "model.lexical": "there is no head of labels, and no n-grams beside it",
    "training.start": "no floor: the training begins from the base as it is",
    "training.loss": "cross entropy of the label's tokens, no focal loss",
    "training.head_learning_rate": "there is no head of labels",
    "training.precision": "the tool chooses",
    "loss": "cross entropy of the label's tokens, no weights of labels",
    "evaluation": "judge with fucina, on test.jsonl",
    "expectations": "nothing is watched while training",
    "augment": "run fucina augment before the export",
    "synthesis": "run fucina synthesize before the export",
    "multitask": "the rows of all parts are here, each behind the words of its part",
    "phases": "see fucina audit",
    "preset": "its settings are written one by one",
}
# Defaults of Fucina that others do not share: said even where a recipe does not write them.
ALWAYS = ("adapter.layers", "stopping.min_gain")
LABELS = ("model.lexical", "training.start")  # said of recipes that have a head of their own
SILENT = ("name", "seed", "preset", "data", "task")  # of no weight for what is learnt elsewhere


def losses(source: "Handover", known: Collection[str]) -> tuple[str, ...]:
    """The settings of a recipe that a tool has no equivalent of.

    Args:
        source: The recipe and its rows.
        known: Settings that the tool was given.
    """
    found = []
    adapter = source.recipe.adapter
    if adapter.kind == "lora" and adapter.alpha != round(adapter.alpha):
        found.append(f"adapter.alpha={adapter.alpha:g}: {round(adapter.alpha)}, as a whole number")
    if adapter.kind == "lora" and adapter.target_modules == "attention":
        found.append("adapter.target_modules=attention: as q_proj, k_proj, v_proj and o_proj")
    labels = tasks.get(source.recipe.task).answer != "text"
    for name, value, default in _settings(source.recipe):
        section = name.partition(".")[0]
        said = name in ALWAYS or (labels and name in LABELS) or value != default
        if name in known or not said or name in SILENT or section in SILENT:
            continue
        if name == "adapter.layers" and value == "all":
            continue
        instead = INSTEAD.get(name, INSTEAD.get(section, "no equivalent"))
        found.append(f"{name}={_shown(value)}: {instead}")
    if (count := unlearnt(source)) and "rows.weight" not in known:
        found.append(f"weight 0 of {count} answers in the rows: they are learnt like all others")
    return tuple(found)


def unlearnt(source: "Handover") -> int:
    """How many answers of train and validation the rows exclude from learning."""
    rows = (*source.train, *source.validation)
    return sum(turn.get("weight") == 0 for row in rows for turn in row["messages"])


def comments(title: str, source: "Handover", command: str, lost: Collection[str]) -> str:
    """The head of a file: what it is, how it is used, and what is not in it."""
    recipe = source.recipe
    lines = [
        f"{recipe.name}: the recipe of Fucina for {title}.",
        f"  {command}",
        f"Rows: train.jsonl {len(source.train)}, validation.jsonl {len(source.validation)}, "
        f"test.jsonl {len(source.test)}; the last to judge on, never to train on.",
        "A row longer than the limit is cut or dropped by the tool; Fucina takes away its oldest "
        "exchanges and keeps the rest.",
    ]
    if lost:
        lines += ["", "Without equivalent:", *(f"  {sentence}" for sentence in lost)]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _settings(recipe: "Recipe") -> Iterator[tuple[str, Any, Any]]:
    """Every setting with its value and its default; of required ones the value twice."""
    for key, field in type(recipe).model_fields.items():
        value = getattr(recipe, key)
        if isinstance(value, BaseModel) and not field.is_required():
            own = field.get_default()
            for name in type(value).model_fields:
                before = getattr(own, name) if isinstance(own, BaseModel) else None
                yield f"{key}.{name}", getattr(value, name), before
        elif not field.is_required():
            yield key, value, field.get_default()


def _shown(value: Any) -> str:
    if isinstance(value, tuple | dict) and any(isinstance(part, BaseModel) for part in value):
        return f"{len(value)} items"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
