"""A model that answers conversations: of a run, a base alone, or one behind an endpoint."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fucina.endpoint import Reply, Server, converse
from fucina.errors import RecipeError
from fucina.recipe import parse
from fucina.records import Example, Message, Progress, silent

if TYPE_CHECKING:
    from fucina.models.writer import Writer

__all__ = ["Speaker", "open_speaker"]

FAR_READS = 32_768  # tokens, of a model behind an endpoint, which does not tell


@dataclass(frozen=True)
class Speaker:
    """What answers.

    Attributes:
        name: For people.
        reads: Tokens that question and answer may have together.
        count: How many tokens a text has; behind an endpoint by a rule of thumb.
        answer: Conversations to the next turn of each.
    """

    name: str
    reads: int
    count: Callable[[str], int]
    answer: Callable[[Sequence[Sequence[Message]]], list[Reply]]


@contextmanager
def open_speaker(
    what: "str | Server",
    *,
    max_new_tokens: int,
    key: str = "",
    progress: Progress = silent,
) -> Iterator[Speaker]:
    """Open a model to talk with.

    Args:
        what: A run folder, the alias, folder or hub id of a base, or a server.
        max_new_tokens: Of an answer at most.
        key: Of the server.
        progress: Shows steps.

    Raises:
        FucinaError: It cannot be had, or does not write.
    """
    if isinstance(what, Server):
        server = what

        def ask(conversations: Sequence[Sequence[Message]]) -> list[Reply]:
            return converse(
                server, key, conversations, max_new_tokens=max_new_tokens, section="answer",
                progress=progress,
            )  # fmt: skip

        # Three letters a token, as Italian has about; English has four, and room to spare.
        yield Speaker(server.model, FAR_READS, lambda text: len(text) // 3 + 1, ask)
        return
    from fucina.models import threads

    with threads.start() as pool:
        writer = _writer(what, max_new_tokens, threads.count(pool))
        tokenizer = writer.base.tokenizer

        def write(conversations: Sequence[Sequence[Message]]) -> list[Reply]:
            rows = [
                Example.of_conversation([*turns, Message("assistant", "")])
                for turns in conversations
            ]
            began = time.perf_counter()
            texts = writer.predict(rows, threads=pool, foretell=False, progress=progress)
            each = (time.perf_counter() - began) / max(1, len(rows))
            facts = zip(texts.answers, texts.read, texts.written, texts.ended, strict=True)
            return [Reply(text, read, wrote, each, bool(end)) for text, read, wrote, end in facts]

        yield Speaker(
            what,
            writer.base.positions,
            lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"]),
            write,
        )


def _writer(what: str, max_new_tokens: int, workers: int) -> "Writer":
    """The model of a run, or a base alone."""
    from dataclasses import replace

    from fucina.models import base as bases
    from fucina.models import saved
    from fucina.models.writer import Writer
    from fucina.opening import load_model
    from fucina.run import find

    if Path(what).is_dir() and not (Path(what) / "config.json").is_file():
        recipe, model = load_model(find(Path(what)), workers=workers)
        if not isinstance(model, Writer):
            raise RecipeError(
                f"{what} does not write: it is of the task {recipe.task}.",
                fix="Give a run of a task that answers with text, or a base such as favilla.",
            )
        return replace(model, max_new_tokens=max_new_tokens)
    # JSON is YAML; a recipe is what loads a base.
    text = {"task": "chat", "name": "answer", "data": {"train": "-"}, "model": {"base": what}}
    recipe, _ = parse(json.dumps(text), [f"model.max_length_tokens={FAR_READS}"])
    base = bases.load(recipe.model, answer="text")
    base = bases.with_template(base, recipe.chat, Path())
    writer = saved.untrained_writer(recipe, base, workers=workers)
    return replace(writer, max_new_tokens=max_new_tokens)
