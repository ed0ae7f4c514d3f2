"""Settings that do nothing for a kind of answer: whoever writes one is told, not left to wonder."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fucina import tasks
from fucina.config import (
    COST_GOALS,
    LABEL_BASELINES,
    LABEL_METRICS,
    SPAN_METRICS,
    TEXT_METRICS,
    ChatConfig,
    ExpectationsConfig,
    LossConfig,
)
from fucina.errors import RecipeError, nearest
from fucina.records import Answer

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.tasks import Task

__all__ = ["AUTO", "BASE", "EMBEDDED", "SCRATCH", "baselines", "learnt_as", "refuse_idle"]

LEAVE_OUT = "leave it out"
EXPECTED = {
    f"expectations.{name}": "expect a loss, or set evaluation.goals"
    for name in ExpectationsConfig.model_fields
    if name.startswith("metric")
}
# Setting to what does the same job there.
IDLE = {
    "text": {
        "data.text": "write data.columns: {prompt: COLUMN}",
        "data.label": "write data.columns: {answer: COLUMN}",
        "model.pooling": LEAVE_OUT,
        "model.head": LEAVE_OUT,
        "model.lexical": LEAVE_OUT,
        "training.start": LEAVE_OUT,
        "training.loss": LEAVE_OUT,
        "training.head_learning_rate": "set training.learning_rate",
        "folds.ensemble": "leave it out: members write the token that is likeliest on average",
        "evaluation.rules": LEAVE_OUT,
        "evaluation.max_error": LEAVE_OUT,
        "evaluation.calibrate": LEAVE_OUT,
        "augment.rows_per_label": "set augment.rows",
        "synthesis.prompts.label": "leave it out, or write it as name:",
        "phases.rows_per_label": "leave it out: rows is the target of all",
        **{f"loss.{name}": LEAVE_OUT for name in LossConfig.model_fields},
        "model.look_ahead": LEAVE_OUT,
        **EXPECTED,
    },
    "label": {
        "model.look_ahead": LEAVE_OUT,
        "augment.rows": "set augment.rows_per_label",
        "synthesis.prompts.given": "write label:",
        "engine.backend": LEAVE_OUT,
        **{f"chat.{name}": LEAVE_OUT for name in ChatConfig.model_fields},
    },
    "spans": {
        "data.label": "write data.columns: {spans: COLUMN}",
        "model.pooling": LEAVE_OUT,
        "folds.ensemble": "leave it out: members mark by their mean probabilities",
        "evaluation.rules": LEAVE_OUT,
        "evaluation.must_fix": LEAVE_OUT,
        "evaluation.max_error": LEAVE_OUT,
        "augment.rows": "set augment.rows_per_label",
        "synthesis.prompts.label": "leave it out, or write it as name:",
        "phases.rows_per_label": "leave it out: rows is the target of all",
        **{f"chat.{name}": LEAVE_OUT for name in ChatConfig.model_fields},
        **EXPECTED,
    },
}
# Setting that is not its default, to another and its values with which it does nothing.
TOGETHER = (
    ("adapter.rslora", "adapter.kind", ("full", "head")),
    ("adapter.dora", "adapter.kind", ("full", "head")),
    ("model.quantize", "adapter.kind", ("full",)),
    ("engine.checkpointing", "adapter.kind", ("head",)),
    ("engine.python", "engine.backend", ("fucina",)),
    ("adapter.dora", "engine.backend", ("unsloth",)),
    ("training.precision", "engine.backend", ("unsloth",)),
    ("stopping.save_every_epoch", "engine.backend", ("unsloth",)),
)
# Of labels that are answered by their names: what a head of classes hears, and words do not.
IDLE_OF_WORDS = {
    name: fix for name, fix in IDLE["text"].items()
    if name.startswith(("loss.", "training.", "model.")) and name != "model.head"
}  # fmt: skip
# Of several tasks learnt together: what must be said of one of them.
IDLE_OF_PARTS = {
    "augment": "vary the rows of one part by a recipe of its task, and name the file in the part",
    "synthesis": "write rows of one part by a recipe of its task, and name the file in the part",
    "chat.constitution": "train the persona by a recipe of its own",
    "chat.others": "train the persona by a recipe of its own",
}
HEARD_BY_WORDS = ("chat.system", "chat.template")
SCRATCH = "scratch"  # a base of random weights, made for the rows of a recipe
AUTO = "auto"  # the embedded base that suits an answer
EMBEDDED = {"label": "favilla-encoder", "spans": "favilla-encoder", "text": "favilla"}
BASE = "base"  # the model without training, as a baseline of texts


def learnt_as(recipe: "Recipe") -> Answer:
    """What a network learns to give: classes, or the words of texts and of names of labels.

    Example:
        >>> from fucina.recipe import parse
        >>> text = "{task: classification, name: a, data: {train: a}, model: {head: words}}"
        >>> learnt_as(parse(text)[0])
        'text'
    """
    return "text" if recipe.model.head == "words" else tasks.get(recipe.task).answer


def _idle(recipe: "Recipe", task: "Task") -> dict[str, str]:
    """Settings that this task, learnt in this way, cannot hear."""
    idle = IDLE[task.answer] | (IDLE_OF_PARTS if task.choices.parts else {})
    if task.answer == learnt_as(recipe):
        return idle
    return {k: v for k, v in idle.items() if k not in HEARD_BY_WORDS} | IDLE_OF_WORDS


def refuse_idle(recipe: "Recipe") -> None:
    """Refuse what a recipe sets, other than to its default, and its task cannot hear.

    Args:
        recipe: Every setting at its default is accepted, as in a recipe that a run has written.

    Raises:
        RecipeError: Names all such settings, and what does their job.

    Example:
        >>> from fucina.recipe import parse
        >>> recipe, _ = parse("{task: chat, name: a, data: {train: a}, model: {pooling: cls}}")
        >>> try:
        ...     refuse_idle(recipe)
        ... except RecipeError as error:
        ...     print(error.problem)
        chat answers with text: model.pooling=cls does nothing.
    """
    task = tasks.of(recipe)
    found = {
        _shown(name, value): fix
        for name, fix in _idle(recipe, task).items()
        if (value := _written(recipe, name)) is not None
    }
    found |= _goals(recipe, task) | _baselines(recipe, task) | _columns(recipe, task)
    if learnt_as(recipe) == "text" and recipe.adapter.kind == "head":
        found["adapter.kind=head"] = "set adapter.kind: lora, or full"
    if not found:
        _refuse_blank(recipe)
        _refuse_together(recipe)
        return
    kind = {"text": "text", "label": "labels", "spans": "spans"}[task.answer]
    if task.answer != learnt_as(recipe):
        kind = "names of labels"
    word = "do" if len(found) > 1 else "does"
    fixes = [
        f"{name.partition('=')[0]}: {fix}" if len(found) > 1 else fix for name, fix in found.items()
    ]
    orders = "; ".join(dict.fromkeys(fixes))
    raise RecipeError(
        f"{task.name} answers with {kind}: {', '.join(found)} {word} nothing.",
        fix=f"{orders[0].upper()}{orders[1:]}{'' if orders.endswith('?') else '.'}",
    )


def _refuse_blank(recipe: "Recipe") -> None:
    """Adapters on weights that know nothing would learn next to nothing."""
    if recipe.model.base != SCRATCH:
        return
    if learnt_as(recipe) != "text":
        raise RecipeError(
            "model.base: scratch is for answers in words.",
            fix="Set model.base: favilla-encoder, or model.head: words.",
        )
    if recipe.adapter.kind != "full" or recipe.adapter.layers != "all":
        raise RecipeError(
            "model.base: scratch has random weights: all of them must be trained.",
            fix="Set adapter.kind: full and adapter.layers: all.",
        )


def _refuse_together(recipe: "Recipe") -> None:
    """Settings that do nothing, or cannot be, beside another."""
    if recipe.engine.backend == "unsloth" and recipe.adapter.kind != "lora":
        raise RecipeError(
            f"engine.backend: unsloth trains adapters, not adapter.kind={recipe.adapter.kind}.",
            fix="Set adapter.kind: lora, or engine.backend: fucina.",
        )
    for name, other, values in TOGETHER:
        section, _, last = other.partition(".")
        value = getattr(getattr(recipe, section), last)
        written = _written(recipe, name)
        if value in values and written not in (None, False):
            raise RecipeError(
                f"{_shown(name, written)} does nothing with {other}={value}.",
                fix=f"Leave out {name}, or set another {other}.",
            )


def _written(recipe: "Recipe", name: str) -> Any:
    """The value of a setting where it is not its default, the first of a list; else None."""
    places: list[Any] = [recipe]
    *sections, last = name.split(".")
    for section in sections:
        inner = [getattr(place, section) for place in places]
        listed = [own if isinstance(own, tuple) else (own,) for own in inner if own is not None]
        places = [place for own in listed for place in own]
    for place in places:
        value, field = getattr(place, last), type(place).model_fields[last]
        default = field.get_default(call_default_factory=True)
        if value != default and default is not PydanticUndefined:
            return value
    return None


def _shown(name: str, value: Any) -> str:
    if isinstance(value, BaseModel):
        return name  # a whole section
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"


def _goals(recipe: "Recipe", task: "Task") -> dict[str, str]:
    """Goals of scores that this task does not have, or that only describe answers."""
    if task.answer == "text":
        own = [name for name in task.judging.metrics if name not in task.judging.descriptive]
        own += [f"{part.name}/{name}" for part in task.choices.parts for name in TEXT_METRICS]
        known: tuple[str, ...] = (*own, *TEXT_METRICS, *_persona_metrics(recipe))
    else:
        known = LABEL_METRICS if task.answer == "label" else SPAN_METRICS
    known = (*known, *COST_GOALS)
    return {
        f"evaluation.goals.{name}": "it says what answers are like, not how good they are"
        if name in task.judging.descriptive
        else nearest(name, known).rstrip(".")
        for name in recipe.evaluation.goals
        if name not in known and not (recipe.chat.constitution and name.startswith("rule:"))
    }


def _persona_metrics(recipe: "Recipe") -> tuple[str, ...]:
    """Scores that a constitution and a voice bring."""
    rules = recipe.chat.constitution is not None
    return ("all_rules",) * rules + ("sounds_like",) * (rules or recipe.chat.others is not None)


def baselines(recipe: "Recipe") -> tuple[str, ...]:
    """The baselines that a recipe wants: all that its task has, unless it names some.

    Example:
        >>> from fucina.recipe import parse
        >>> baselines(parse("{task: chat, name: a, data: {train: a}}")[0])
        ('base',)
    """
    chosen = recipe.evaluation.baselines
    return _known_baselines(tasks.of(recipe)) if chosen is None else chosen


def _known_baselines(task: "Task") -> tuple[str, ...]:
    if task.answer == "label":
        return LABEL_BASELINES
    return (*task.judging.baselines, *([BASE] if task.answer == "text" else []))


def _baselines(recipe: "Recipe", task: "Task") -> dict[str, str]:
    """Baselines that this task does not have."""
    known = _known_baselines(task)
    wrong = [name for name in recipe.evaluation.baselines or () if name not in known]
    return {f"evaluation.baselines={name}": nearest(name, known).rstrip(".") for name in wrong}


def _columns(recipe: "Recipe", task: "Task") -> dict[str, str]:
    """Columns of fields that the task does not have."""
    known = {*task.columns, *task.optional, "group"}
    wrong = [name for name in recipe.data.columns if name not in known]
    return {f"data.columns.{name}": nearest(name, known).rstrip(".") for name in wrong}
