"""A served model with those who wait for it, and who answers in its place."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from fucina.engines import Labeller, Marks, Piece, Sampling, Talker
from fucina.errors import FucinaError
from fucina.records import Example
from fucina.serve.answers import Found, labelled, marked
from fucina.serve.batching import Batcher
from fucina.serve.counting import Counts
from fucina.serve.interface import Failure, Served
from fucina.serve.problems import Problem
from fucina.serve.routing import Routed, unanswered, without_model
from fucina.serve.worker import Workers
from fucina.serve.writing import Scribes

if TYPE_CHECKING:
    from fucina.config import ServeConfig

__all__ = ["Station"]

Made = TypeVar("Made")

PATIENCE = 10  # times as long as a label, a text may take from one word to the next


class Station:
    """Remembers a model and what waits for it.

    Args:
        served: The model.
        config: How much may wait, and how long.
        counts: Told what happens.
    """

    def __init__(self, served: Served, config: "ServeConfig", counts: Counts) -> None:
        self.served, self._counts = served, counts
        self._batcher: Batcher[str, Found] = Batcher(
            self._answer, name=served.name, waiting=config.waiting, timeout_s=config.timeout_s,
            told=counts.batch(served.name), lanes=served.lanes,
        )  # fmt: skip
        self._scribes = Scribes(
            name=served.name, at_once=config.at_once, waiting=config.waiting,
            timeout_s=config.timeout_s * PATIENCE,
        )  # fmt: skip
        self._elsewhere = Workers(config.at_once, f"{served.name}-elsewhere")
        slow = {"waiting": config.waiting, "timeout_s": config.timeout_s * PATIENCE}
        self._embedder: Batcher[str, np.ndarray] = Batcher(
            self._embed, name=f"{served.name}-embed", **slow
        )
        self._explainer: Batcher[tuple[str, Mapping[str, Any]], Any] = Batcher(
            self._explain, name=f"{served.name}-explain", **slow
        )
        self.at_once = config.at_once
        self.users = 0

    @property
    def waiting(self) -> int:
        """What waits for it now."""
        return self._batcher.waiting + self._scribes.waiting

    def close(self) -> None:
        """Let its threads end after what they do now."""
        for part in (
            self._batcher,
            self._scribes,
            self._elsewhere,
            self._embedder,
            self._explainer,
        ):
            part.close()

    async def answer(self, texts: Sequence[str]) -> list[Routed]:
        """Label or mark texts: by the model, and where it does not, by others.

        Raises:
            BusyError: Too many wait already.
        """
        found = await self._batcher.ask(texts)
        return list(await asyncio.gather(*map(self._settle, texts, found)))

    async def write(
        self, row: Example, begin: Callable[[], Iterator[Piece]]
    ) -> AsyncGenerator[Piece | Routed]:
        """Pieces of a written answer, and at the end who wrote it; or the answer of another.

        Where a model fails in the middle of a text, the last that comes is its failure.

        Args:
            row: What is asked, for others.
            begin: Begins to write.

        Raises:
            BusyError: Too many wait already.
            FucinaError: The question cannot be answered as it is.
        """
        said = False
        async for piece in self._scribes.write(begin):
            if isinstance(piece, FucinaError):
                raise piece
            if isinstance(piece, Failure):
                routed = (
                    Routed("none", piece.reason, note=piece.note, broken=True)
                    if said
                    else await self._instead(row, piece.reason, piece.note)
                )
                yield self._counted(routed)
                return
            said = said or bool(piece.text)
            yield piece
        yield self._counted(Routed("model"))

    def begin(self, row: Example, sampling: Sampling) -> Iterator[Piece]:
        """Let a model that talks answer a row."""
        return cast("Talker", self.served.engine).talk(row, sampling)

    async def embed(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Vectors of texts.

        Raises:
            BusyError: Too many wait already.
            Problem: This model has none, or fails.
        """
        if self.served.embed is None:
            raise Problem(
                400,
                f"{self.served.name} has no vectors.",
                "Name a run that labels or marks.",
                param="model",
            )
        return _whole(await self._embedder.ask(texts))

    async def explain(self, text: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Which words of a text decided.

        Raises:
            BusyError: Too many wait already.
            Problem: This model cannot tell, fails, or the label is none of its.
        """
        if self.served.explain is None:
            raise Problem(
                400, f"{self.served.name} cannot be explained.",
                "Name a run of labels that this program computes.", param="model",
            )  # fmt: skip
        (found,) = _whole(await self._explainer.ask([(text, options)]))
        if isinstance(found, FucinaError):
            raise Problem(400, found.problem, found.fix)
        return found

    def count(self, read: int, written: int) -> None:
        """Count the tokens of an answer."""
        self._counts.tokens(self.served.name, read, written)

    def _embed(self, texts: list[str]) -> Sequence[np.ndarray]:
        return list(cast("Callable[[Sequence[str]], np.ndarray]", self.served.embed)(texts))

    def _explain(self, rows: list[tuple[str, Mapping[str, Any]]]) -> Sequence[Any]:
        explain = cast("Callable[..., Mapping[str, Any]]", self.served.explain)
        found: list[Any] = []
        for row in rows:
            try:
                found.append(explain(*row))
            except FucinaError as error:  # of the question, which is to know
                found.append(error)
        return found

    async def _settle(self, text: str, found: "Found | Failure") -> Routed:
        row = Example(text, "")
        if isinstance(found, Failure):
            return self._counted(await self._instead(row, found.reason, found.note))
        sure = found.confidence
        if sure is not None and sure < self.served.threshold:
            note = f"confidence {sure:.3f} is under {self.served.threshold:.3f}"
            other = await self._instead(row, "unsure", note)
            if other.route == "none":
                other = replace(other, answer=None, guess=found.answer)
            return self._counted(replace(other, confidence=sure, more=found.more))
        return self._counted(
            Routed("model", answer=found.answer, confidence=sure, more=found.more,
                   reply=self._reply(found.answer))
        )  # fmt: skip

    def _reply(self, label: Any) -> str | None:
        """What rules say where a model has found their label."""
        rules = self.served.rules
        if rules is None or not isinstance(label, str):
            return None
        return next((r.reply for r in rules.rules if r.label == label and r.reply), None)

    async def _instead(self, row: Example, reason: str, note: str) -> Routed:
        """The answer of rules, else of another model, else that there is none."""
        found = without_model(self.served, row, reason, note)
        if found is not None or self.served.elsewhere is None:
            return found or unanswered(reason, note)
        loop, elsewhere = asyncio.get_running_loop(), self.served.elsewhere
        future: asyncio.Future[Any] = loop.create_future()

        def settle(said: Any) -> None:
            if not future.done():
                future.set_result(said)

        def work() -> None:
            try:
                said: Any = elsewhere(row)
            except Exception as error:  # whatever it raises, the request is answered
                said = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, said)

        self._elsewhere.do(work)
        said = await future
        if isinstance(said, Exception):
            return unanswered(reason, f"{note}; the other model failed: {type(said).__name__}")
        return Routed("endpoint", reason, answer=said, note=note)

    def _counted(self, routed: Routed) -> Routed:
        self._counts.answered(self.served.name, routed.route, routed.reason)
        return routed

    def _answer(self, texts: list[str]) -> "Sequence[Found | Failure]":
        """What the model says to n texts."""
        if self.served.kind == "label":
            return labelled(cast("Labeller", self.served.engine), texts)
        return marked(cast("Marks", self.served.engine), texts)


def _whole(found: "Sequence[Made | Failure]") -> "list[Made]":
    """Answers of which none is a failure.

    Raises:
        Problem: One is.
    """
    made: list[Made] = []
    for one in found:
        if isinstance(one, Failure):
            raise Problem(
                503, f"the model failed ({one.reason}: {one.note}).", "Try again.",
                code="model_failed", retry_s=1,
            )  # fmt: skip
        made.append(one)
    return made
