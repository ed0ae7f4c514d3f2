"""Documents that are open to be asked, by the command line or by a server."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fucina.answering import Told, ask, open_answerer, tell
from fucina.config import AnswerConfig, SearchConfig
from fucina.errors import DataError
from fucina.library import open_library
from fucina.records import Message
from fucina.serve.interface import BusyError
from fucina.serve.worker import Workers

__all__ = ["Shelf", "answer_facts", "open_shelf", "open_teller", "require_heard"]

Teller = Callable[[str, Sequence[Message]], Told]
Made = TypeVar("Made")

WAITING = 64  # questions that may wait
WAIT_S = 5  # that a client is told to wait where more do


def require_heard(answer: AnswerConfig) -> None:
    """Refuse settings of a model where none answers.

    Raises:
        DataError: One is set.
    """
    if answer.by is None and (unheard := sorted(set(answer.model_fields_set) - {"sure"})):
        raise DataError(
            f"answer.{unheard[0]} is for a model, and none answers.", fix="Name it: answer.by=…"
        )


@contextmanager
def open_teller(
    index: Path, config: SearchConfig, answer: AnswerConfig, keys: Mapping[str, str]
) -> Iterator[Teller]:
    """Give a function: question, turns before it → answer.

    Args:
        index: Folder of the documents' index.
        config: How to look.
        answer: Who answers.
        keys: Name of a variable to the key of an endpoint.

    Raises:
        FucinaError: There is no index, or nobody answers.
    """
    with open_library(index, keys=keys, rerank=config.rerank) as library:
        if answer.by is None:
            yield lambda question, history: Told(
                ask(library, question, config, least=answer.sure, history=history)
            )
            return
        with open_answerer(answer, keys) as speaker:
            yield lambda question, history: tell(
                library, question, config, speaker, answer, history=history
            )


class Shelf:
    """Remembers documents that a server is asked about, in the one thread that may read them.

    Args:
        open_it: Opens them, in that thread; they are closed with the stack that it is given.

    Raises:
        FucinaError: They cannot be opened.
    """

    def __init__(self, open_it: Callable[[ExitStack], Teller]) -> None:
        self._workers, self._stack, self._waiting = Workers(1, "documents"), ExitStack(), 0
        self._tell = self._doing(lambda: open_it(self._stack)).result()

    async def ask(self, question: str, history: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """What they say to a question, with the turns before it.

        Raises:
            BusyError: Too many wait already.
        """
        if self._waiting >= WAITING:
            raise BusyError(WAIT_S)
        turns = [Message("user" if role == "user" else "assistant", text) for role, text in history]
        self._waiting += 1
        try:
            doing = self._doing(lambda: answer_facts(self._tell(question, turns)))
            return await asyncio.wrap_future(doing)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Close them."""
        self._doing(self._stack.close).result()
        self._workers.close()

    def _doing(self, job: Callable[[], Made]) -> "Future[Made]":
        future: Future[Made] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return  # who asked has gone
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

        self._workers.do(do)
        return future


@contextmanager
def open_shelf(
    index: Path, config: SearchConfig, answer: AnswerConfig, keys: Mapping[str, str]
) -> Iterator[Shelf]:
    """Open documents for a server; see `open_teller`."""
    require_heard(answer)
    shelf = Shelf(lambda stack: stack.enter_context(open_teller(index, config, answer, keys)))
    try:
        yield shelf
    finally:
        shelf.close()


def answer_facts(told: "Told") -> dict[str, Any]:
    """An answer as JSON has it."""
    asked = told.asked
    answer = None if asked.weak else " ".join(quote.text for quote in asked.quotes)
    facts: dict[str, Any] = {"question": asked.question, "answer": answer}
    facts["in_documents"] = not asked.weak
    facts["searched"] = asked.searched
    if told.cited is not None and told.prompt is not None and told.reply is not None:
        facts["answer"] = told.cited.text if told.answered else None
        facts["in_documents"] = told.answered
        facts["citations"] = list(told.cited.numbers)
        facts["invented_citations"] = list(told.cited.invented)
        facts["tokens"] = {**told.prompt.tokens, "answer": told.reply.answer_tokens}
        facts["left_out"] = told.prompt.left_out
        facts["forgotten"] = told.prompt.forgotten
        facts["seconds"] = round(told.reply.seconds, 3)
    return facts | {
        "sure": round(asked.sure, 4),
        "quotes": [
            {"text": q.text, "source": q.hit + 1, "place": q.place, "score": round(q.score, 4)}
            for q in asked.quotes
        ],
        "sources": [
            {
                "number": number,
                "file": hit.path,
                "title": hit.title,
                "headings": list(hit.chunk.headings),
                "unit": hit.unit,
                "first": hit.chunk.first,
                "last": hit.chunk.last,
                "date": hit.date,
                "tags": list(hit.tags),
                "score": round(hit.score, 4),
                "nearness": round(hit.nearness, 4),
                "coverage": round(hit.coverage, 4),
                **hit.parts,
                "text": hit.chunk.text,
            }
            for number, hit in enumerate(asked.hits, start=1)
        ],
    }
