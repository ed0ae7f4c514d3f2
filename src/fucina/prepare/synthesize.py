"""Ask a model for rows, prompt by prompt, until each has as many as the recipe wants."""

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fucina.endpoint import UnansweredError
from fucina.errors import EndpointError, RecipeError, nearest
from fucina.records import Progress, silent
from fucina.tasks import Task, as_text

if TYPE_CHECKING:
    from fucina.config import PromptConfig, SynthesisConfig

__all__ = ["compose", "instruction", "placeholders", "synthesize"]

PLACEHOLDER = re.compile(r"\{(\w+)\}")
KNOWN = ("examples", "rows")
BARREN = 3  # replies in a row without a new text, after which a prompt has no more to give

Row = dict[str, Any]
Ask = Callable[[str], Awaitable[list[Row]]]
Keep = Callable[[int, list[Row]], int]
"""Takes the place of a prompt and the rows of a reply; stores them, and says how many may join."""


@dataclass
class _Order:
    """What one prompt has to bring, and how far it is."""

    place: int
    prompt: "PromptConfig"
    missing: int
    under_way: int = 0
    asked: int = 0
    barren: int = 0
    problem: str = ""

    @property
    def open(self) -> int:
        """Rows to ask for now."""
        return 0 if self.problem else self.missing - self.under_way


def instruction(task: Task, fields: Sequence[str], types: Sequence[str] = ()) -> str:
    """What a model is told before all requests.

    Args:
        task: What the rows are for.
        fields: Those that the model shall write, what is asked first.
        types: What spans may be, where rows answer with them.

    Example:
        >>> from fucina.tasks import get
        >>> instruction(get("chat"), ["prompt", "answer"]).split(", ")[1:3]
        ['{"rows": [{"prompt": "..."', '"answer": "..."}]}']
    """
    if task.answer == "label":
        form = json.dumps({f"{task.asked}s": ["...", "..."]})
        goal, one, told = "a text classifier", "text", ""
    elif task.marks:
        # Models count letters badly: they say the words, and these are looked for in the text.
        span = {"text": "...", "label": "..."}
        form = json.dumps({"rows": [{task.asked: "...", task.answered: [span]}]})
        goal, one = "a model that marks parts of texts", "row"
        told = (
            f" {task.summary} In {task.answered} stands each part to be marked, in the words of "
            f"{task.asked} and as often as it stands there, with one of these labels: "
            f"{', '.join(types)}; [] where nothing is to be marked."
        )
    else:
        form = json.dumps({"rows": [dict.fromkeys(fields, "...")]})
        goal, one = "a language model", "row"
        told = f" {task.summary} " + " ".join(f"{name}: {task.columns[name]}." for name in fields)
    return (
        f"You write training examples for {goal}. Answer with one JSON object, {form}, and "
        f"nothing else. Every {one} differs from the others in words and in what it asks; write "
        f"as real people do.{told}"
    )


def placeholders(prompt: str, given: Collection[str], *, where: str) -> set[str]:
    """The names in braces that a prompt has; braces with anything else in them are text.

    Args:
        prompt: The request.
        given: Names that may be there beside `examples` and `rows`.
        where: What the prompt is called, for messages.

    Raises:
        RecipeError: There is no such placeholder; the nearest is offered.

    Example:
        >>> sorted(placeholders('{rows} frasi come {examples}: {"texts": []}', (), where="p"))
        ['examples', 'rows']
    """
    names, known = set(PLACEHOLDER.findall(prompt)), (*given, *KNOWN)
    for name in sorted(names.difference(known)):
        raise RecipeError(
            f"{where}: no placeholder {{{name}}}.", fix=f"Mend it: {nearest(name, known)}"
        )
    return names


def compose(prompt: "PromptConfig", rows: int, examples: Sequence[Row]) -> str:
    """The request for some rows.

    Example:
        >>> from fucina.config import PromptConfig
        >>> prompt = PromptConfig(label="reso", prompt="Frasi per {label}, come:{examples}", rows=9)
        >>> compose(prompt, 2, [{"text": "rivoglio i soldi"}]).splitlines()
        ['Frasi per reso, come:', '- rivoglio i soldi', '', 'Write 2 texts.']
    """
    listed = "".join(f"\n- {_listed(example)}" for example in examples)
    given = {"label": prompt.label, **prompt.given}
    filled = {name: as_text(value) for name, value in given.items()}
    filled |= {"examples": listed, "rows": str(rows)}
    # In one pass: what an example says in braces is its own.
    text = PLACEHOLDER.sub(lambda found: filled[found.group(1)], prompt.prompt)
    return f"{text}\n\nWrite {rows} {'rows' if prompt.label is None else 'texts'}."


def _listed(example: Row) -> str:
    """A row on one line: the text alone where there is no more, else JSON."""
    if len(example) == 1:
        return " ".join(str(next(iter(example.values()))).split())
    return json.dumps(example, ensure_ascii=False, default=str)


async def synthesize(
    config: "SynthesisConfig",
    have: Sequence[int],
    examples: Sequence[Sequence[Row]],
    *,
    ask: Ask,
    keep: Keep,
    seed: int,
    progress: Progress = silent,
) -> dict[int, str]:
    """Ask until every prompt has its rows, has no more to give, or is not answered.

    Args:
        config: The prompts, and how many requests go at once.
        have: Rows there are already for each prompt.
        examples: Rows that may be shown for each prompt.
        ask: Sends a request.
        keep: Stores the rows of a reply at once.
        seed: Of the examples shown; each request shows others.
        progress: Told after each reply.

    Returns:
        Place of a prompt that came short to why.

    Raises:
        EndpointError: The server refuses; every reply before is kept.
    """
    orders = [
        _Order(place, prompt, max(0, prompt.rows - count))
        for place, (prompt, count) in enumerate(zip(config.prompts, have, strict=True))
    ]
    wanted = sum(prompt.rows for prompt in config.prompts)
    tasks: dict[asyncio.Task[list[Row]], tuple[_Order, int]] = {}
    try:
        while True:
            while len(tasks) < config.requests_at_once:
                order = max(orders, key=lambda order: order.open)
                rows = min(config.rows_per_request, order.open)
                if rows < 1:
                    break
                shown = _shown(examples[order.place], config, seed, order)
                task = asyncio.create_task(_ask(ask, compose(order.prompt, rows, shown)))
                order.asked += 1
                order.under_way += rows
                tasks[task] = order, rows
            if not tasks:
                return {order.place: order.problem for order in orders if order.problem}
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            refused = _take(done, tasks, keep)
            progress("synthesize", wanted - sum(max(0, o.missing) for o in orders), wanted)
            if refused is not None:
                raise refused
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(ask: Ask, request: str) -> list[Row]:
    return await ask(request)


def _take(
    done: set["asyncio.Task[list[Row]]"],
    tasks: dict["asyncio.Task[list[Row]]", tuple[_Order, int]],
    keep: Keep,
) -> EndpointError | None:
    """Keep what came; give back a refusal, for replies that came with it are kept first."""
    refused = None
    for task in done:
        order, rows = tasks.pop(task)
        order.under_way -= rows
        error = task.exception()
        if error is None:
            new = keep(order.place, task.result())
            order.missing -= new
            order.barren = 0 if new else order.barren + 1
            if order.barren >= BARREN and order.missing > 0:
                order.problem = f"{BARREN} replies in a row brought nothing new"
        elif isinstance(error, UnansweredError):
            order.problem = str(error)
        elif isinstance(error, EndpointError):
            refused = error
        else:
            raise error
    return refused


def _shown(
    rows: Sequence[Row], config: "SynthesisConfig", seed: int, order: _Order
) -> Sequence[Row]:
    rng = random.Random(f"{seed}:{order.place}:{order.missing}:{order.asked}")
    return rng.sample(rows, min(config.examples_shown, len(rows)))
