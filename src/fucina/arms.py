"""All arms of an advice: each way with each model, tried one after the other."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import advise, evaluate, persona, tasks
from fucina.config import ContenderConfig, Way
from fucina.learnt import learnt, require_same_rows, seconds_of
from fucina.records import Arm, Finding, Split, Texts
from fucina.replies import Replies
from fucina.tasks.settings import learnt_as
from fucina.taught import behind_documents, quoted, trained
from fucina.ways import Case, Tried, UntriedError, by_itself, prompted

if TYPE_CHECKING:
    from fucina.models.writer import Writer

__all__ = ["Arms"]

OWN, NONE = "base", "none"  # what tables call the base of the recipe, and no model at all
PROMPTED = ("prompt", "few_shot", "retrieval")


class Arms:
    """Tries the arms of a case and remembers what each came to.

    Args:
        case: What all of them share.
        split: Rows and folds.
        root: The folder that paths in the recipe are relative to.
        folder: Where replies and the persona's files are kept.
        keys: Name of a variable to the key of an endpoint.
        say: Shows messages.

    Attributes:
        case: As given.
        split: As given.
        tried: Name to what an arm came to, with the scores of its answers.
        arms: Name to what is told of it.
        left_out: Name to why an arm could not be tried.
    """

    def __init__(
        self,
        case: Case,
        split: Split,
        root: Path,
        folder: Path,
        keys: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self.case, self.split, self._root = case, split, root
        self._folder, self._keys, self._say = folder, keys, say
        self._replies = Replies(folder / "replies.jsonl", case.most)
        self._run: Path | None = None
        self.tried: dict[str, Tried] = {}
        self.arms: dict[str, Arm] = {}
        self.left_out: dict[str, str] = {}

    def take(self, folder: Path) -> None:
        """Use a run instead of training.

        Raises:
            RunError: It is not complete, or of other rows.
        """
        self._run = require_same_rows(folder, self.split)

    def try_all(self, findings: Sequence[Finding]) -> None:
        """Try every arm: those that may fail by somebody else's fault first, training last."""
        against = self._persona()
        for way, model in self._pairs():
            name = model.name if isinstance(model, ContenderConfig) else model
            self._say(f"{way} {name}")
            try:
                self._try(way, model, findings, against)
            except UntriedError as error:
                self.left_out[f"{way} {name}"] = f"{error}."

    def _pairs(self) -> "Iterator[tuple[Way, ContenderConfig | str]]":
        ways, config = self.case.config.ways, self.case.config
        here = [model for model in config.models if model.url is None]
        for model in (*(model for model in config.models if model.url is not None), *here):
            yield from ((way, model) for way in PROMPTED if way in ways)
        if "retrieval" in ways:
            yield "retrieval", NONE
        for way in ways:
            if way in PROMPTED:
                yield way, ContenderConfig(name=OWN, by=self.case.recipe.model.base)
        yield from ((way, OWN) for way in ways if way not in PROMPTED)

    def _try(
        self,
        way: Way,
        model: ContenderConfig | str,
        findings: Sequence[Finding],
        against: evaluate.Persona | None,
    ) -> None:
        case, training = self.case, 0.0
        if not isinstance(model, ContenderConfig) and way not in PROMPTED:
            found, peak, training = self._trained(way, findings)
        else:
            found, peak = _watched(lambda: self._untrained(way, model))
        texts = advise.marked(found.texts, case.rows, case.task, against)
        found = replace(found, texts=texts)
        far = isinstance(model, ContenderConfig) and model.url is not None
        name = model.name if isinstance(model, ContenderConfig) else model
        arm = self._arm(way, name, found, None if far else peak, training, model)
        self.tried[arm.name], self.arms[arm.name] = found, arm

    def _untrained(self, way: Way, model: ContenderConfig | str) -> Tried:
        case = self.case
        if not isinstance(model, ContenderConfig):
            return by_itself(case)
        if model.name == OWN and learnt_as(case.recipe) != "text":
            raise UntriedError(
                f"{case.recipe.model.base} does not write; name a model that does in advise.models"
            )
        key = self._keys.get(model.key_variable, "")
        return prompted(case, way, model, self._replies.asking, key)

    def _trained(self, way: Way, findings: Sequence[Finding]) -> tuple[Tried, float, float]:
        """The trained model's answers, the memory they took, and the seconds of its training."""
        case, documents = self.case, way == "fine_tune_retrieval"
        if documents and not case.lookup.documents:
            raise UntriedError(
                "no component is looked up: name documents in advise.components, with "
                "changes: often or approach: retrieval"
            )
        if documents and case.task.answer != "text":
            raise UntriedError("a model that does not write cannot be given documents")
        told: dict[str, Any] = {
            "keys": self._keys, "progress": case.progress, "say": self._say,
            "findings": findings,
        }  # fmt: skip
        if documents and case.config.hybrid == "trained":
            recipe = case.recipe.model_copy(update={"name": f"{case.recipe.name}-documents"})
            folder = learnt(recipe, self._root, self._with_documents(), **told)
            found, peak = _watched(lambda: trained(case, folder, documents=True, learnt=True))
            return found, peak, seconds_of(folder)
        own = self._run = self._run or learnt(case.recipe, self._root, self.split, **told)
        if documents and case.config.hybrid == "quoted":
            found, peak = _watched(lambda: quoted(case, own))
            return found, peak, seconds_of(own)
        found, peak = _watched(lambda: trained(case, own, documents=documents, learnt=False))
        return found, peak, seconds_of(own)

    def _with_documents(self) -> Split:
        """The same rows, each behind what is found for it."""
        split = self.split
        development, test = (
            replace(side, examples=tuple(behind_documents(self.case, side.examples)[0]))
            for side in (split.development, split.test)
        )
        return replace(split, development=development, test=test)

    def _arm(
        self,
        way: Way,
        name: str,
        found: Tried,
        peak_mib: float | None,
        training: float,
        model: ContenderConfig | str,
    ) -> Arm:
        import torch

        recipe, config, texts = self.case.recipe, self.case.config.cost, found.texts
        whole, *parts = (
            evaluate.judge_texts(own, recipe.evaluation, name=name, seed=recipe.seed).scores
            for own in (texts, *map(texts.take, self.case.parts.values()))
        )
        p50, p95 = np.quantile(found.latency_ms, [0.5, 0.95]).tolist()
        read, written = (float(np.mean(own)) if own else 0.0 for own in (texts.read, texts.written))
        if isinstance(model, ContenderConfig) and model.url is not None:
            cost = advise.cost_behind_endpoint(model, config, read=read, written=written)
        else:
            machine = advise.machine_of(config, gpu=torch.cuda.is_available())
            seconds = float(np.mean(found.latency_ms)) / 1000
            cost = advise.cost_here(machine, config, seconds=seconds, training_s=training)
        return Arm(
            way, name, whole, (p50, p95), len(found.latency_ms), read, written, peak_mib,
            training, cost, found.notes, dict(zip(self.case.parts, parts, strict=True)),
        )  # fmt: skip

    def _persona(self) -> evaluate.Persona | None:
        """What answers are held against, kept beside the replies."""
        from fucina.models import threads

        case = self.case
        if tasks.get(case.recipe.task).answer != "text":
            return None
        persona.keep(case.recipe, self._root, self._folder)
        with threads.start() as pool:
            return persona.open_persona(
                self._folder, case.recipe, case.known, case.rows, lambda: self._plain(pool),
                keys=self._keys, threads=pool, progress=case.progress,
            )  # fmt: skip

    def _plain(self, pool: Any) -> "Writer":
        """The base alone."""
        from fucina.models import base as bases
        from fucina.models import saved, threads

        recipe = self.case.recipe
        base = bases.load(recipe.model, answer="text")
        base = bases.with_template(base, recipe.chat, self._root / recipe.chat.template)
        return saved.untrained_writer(recipe, base, workers=threads.count(pool))

    def lines(self) -> str:
        """All answers, a row of the test a line of JSON."""
        made = []
        for place, row in enumerate(self.case.rows):
            answers = {name: tried.texts.answers[place] for name, tried in self.tried.items()}
            made.append({"prompt": row.prompt, "target": row.target, "answers": answers})
        return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in made)

    def texts(self, arm: Arm) -> Texts:
        """The answers of an arm, with their scores."""
        return self.tried[arm.name].texts


def _watched(answer: Callable[[], Tried]) -> tuple[Tried, float]:
    """What a way came to, and the most memory that was held meanwhile."""
    from fucina.models import memory, threads

    memory.free()
    threads.release()  # what training left behind is no part of it
    with memory.Watch() as watch:
        found = answer()
    return found, watch.peak_mib
