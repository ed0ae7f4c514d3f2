"""One export of a trained model: merged, written, and held against the run."""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import export, run
from fucina.config import LOW_IS_GOOD
from fucina.errors import MissingExtraError, RecipeError
from fucina.opening import load_as
from fucina.records import Check, Dataset, Example, Progress, Proof, Texts
from fucina.tasks.settings import learnt_as
from fucina.using import test_set

if TYPE_CHECKING:
    from fucina.config import Recipe, ShipConfig
    from fucina.export.gguf import Trained
    from fucina.models.writer import Writer

__all__ = ["Shipment"]


class Shipment:
    """Remembers one export.

    Args:
        folder: The run.
        recipe: Its recipe.
        to: The target.
        config: How.
        progress: Shows steps.
        say: Shows messages.
    """

    def __init__(
        self,
        folder: Path,
        recipe: "Recipe",
        to: str,
        config: "ShipConfig",
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.recipe, self.to, self.config = folder, recipe, to, config
        self.progress, self.say = progress, say

    def write(self, place: Path) -> Proof:
        """Write it into a folder, and prove it."""
        from fucina.export.gguf import trained_on
        from fucina.models import base as bases
        from fucina.models import threads

        with threads.start() as pool:
            # In float32, whatever it was trained in: the rounding of 16 bits would hide errors.
            base = bases.load(self.recipe.model, "float32", learnt_as(self.recipe))
            if base.halves is not None:
                raise RecipeError(
                    f"{base.name} is an encoder-decoder, which has no export here yet.",
                    fix="Serve the run as it is: fucina serve RUN.",
                )
            model: Any = load_as(self.folder, self.recipe, threads.count(pool), base=base)
            rows = test_set(self.folder)
            cases = rows.examples[: self.config.cases]
            chosen = self._chosen(model)
            one = self._reference(model, chosen)
            trained = trained_on(one, cases, progress=self.progress)
            merged = place if self.to == "merged" else place / ".merged"
            precision = self.config.precision if self.to == "merged" else "float32"
            self._merge(model, chosen, merged, precision)
            checks = self._of_merged(merged, model, trained, precision, rows, pool)
            if self.to != "merged":
                checks += self._gguf(place, merged, model, trained, cases)
                shutil.rmtree(merged)
        facts = {"run": self.folder.name, "members": self.config.members, "task": self.recipe.task,
                 "base": self.recipe.model.base, "files": export.sums_of(place)}  # fmt: skip
        return Proof(tuple(checks), facts)

    def _chosen(self, model: "Writer") -> list[tuple[Any, int]]:
        """Stack and place of the members that are exported."""
        every = [(stack, place) for stack in model.stacks for place in range(stack.members)]
        wanted = self.config.members
        if len(every) == 1 or wanted == "averaged":
            return every
        if wanted == "best":
            facts = run.read_json(self.folder / "metrics.json")
            name = facts["headline"] if facts["headline"] in facts["folds"] else "token_loss"
            values = facts["folds"][name]["values"]
            pick = min if name in LOW_IS_GOOD else max
            return [every[values.index(pick(values))]]
        if wanted.isdigit() and 1 <= int(wanted) <= len(every):
            return [every[int(wanted) - 1]]
        raise RecipeError(
            f"members={wanted}: the run has {len(every)} members.",
            fix=f"Say best, averaged, or a number from 1 to {len(every)}.",
        )

    def _reference(self, model: "Writer", chosen: Sequence[tuple[Any, int]]) -> "Writer":
        """What the export is held against: the one member, or all where they are averaged."""
        if len(chosen) > 1:
            return model
        (stack, place) = chosen[0]
        if stack.members > 1:
            single: Any = load_as(self.folder, self.recipe, 1, base=model.base)
            own = single.stacks[model.stacks.index(stack)]
            own.bind(own.adapters[[place]].clone(), own.heads[[place]].clone())
            return replace(single, stacks=(own,))
        return replace(model, stacks=(stack,))

    def _merge(
        self, model: "Writer", chosen: Sequence[tuple[Any, int]], place: Path, precision: str
    ) -> None:
        from fucina.models.source import locate, read

        self.progress("merging", 0, 1)
        network, tokenizer = read(self.recipe.model.base, locate(self.recipe.model.base), "text")
        export.unpack(network, model.base)
        export.merge(network, chosen)
        template: Any = model.template
        export.write_folder(network, tokenizer, template, place, precision)
        self.progress("merging", 1, 1)

    def _of_merged(
        self, merged: Path, model: "Writer", trained: "Trained", precision: str, rows: Dataset,
        pool: ThreadPoolExecutor,
    ) -> list[Check]:  # fmt: skip
        # The mean of weights is another model than the members together: told, not judged.
        averaged = self.config.members == "averaged" and model.stacks[0].members > 1
        told = replace(trained, exact=False) if averaged else trained
        texts = self._opened(merged, model).predict(
            rows.examples, threads=pool, progress=self.progress
        )
        return [
            export.check_prompts(merged, trained, self.recipe.chat.system),
            export.check_logits(merged, told, precision, pick=20),
            export.check_answers(told, texts, precision, "torch merged"),
            self._scored(texts),
        ]

    def _opened(self, merged: Path, model: "Writer") -> "Writer":
        """The exported weights in this program's own engine."""
        from fucina.models import base as bases
        from fucina.models import saved

        config = self.recipe.model.model_copy(update={"base": str(merged), "quantize": "none"})
        base = replace(bases.load(config, "float32", "text"), template=model.template)
        own = self.recipe.model_copy(update={"model": config})
        return saved.untrained_writer(own, base, workers=1, held=model.held)

    def _gguf(
        self, place: Path, merged: Path, model: "Writer", trained: "Trained",
        cases: Sequence[Example],
    ) -> list[Check]:  # fmt: skip
        from fucina.export import gguf, ollama

        template: Any = model.template
        path = place / f"{self.recipe.name}-{self.config.kind}.gguf"
        written = gguf.write(merged, path, self.config.kind, template=export.standalone(template),
                             progress=self.progress)  # fmt: skip
        checks = [gguf.check_weights(merged, path, self.config.kind)]
        with suppress(MissingExtraError):
            checks += self._by_llama(path, template.system, trained)
        if len(checks) == 1:
            self.say("llama.cpp is not installed, so the file was not run: pip install "
                     "'fucina[llama]'")  # fmt: skip
        if self.to == "ollama":
            made = ollama.modelfile(
                written, template, max_tokens=self.recipe.chat.max_new_tokens, rows=cases
            )
            ollama.write_modelfile(made, place)
            checks.append(made.check)
            for note in made.notes:
                self.say(note)
        return checks

    def _by_llama(self, path: Path, system: str | None, trained: "Trained") -> list[Check]:
        from fucina.engines.llama import LlamaTalker
        from fucina.export import gguf

        talker = LlamaTalker(
            path, system=system, max_tokens=trained.max_tokens,
            reads=self.recipe.model.max_length_tokens,
        )  # fmt: skip
        try:
            judged = replace(trained, exact=False) if self.config.members == "averaged" else trained
            return list(gguf.prove(talker, judged, self.config.kind, progress=self.progress))
        finally:
            talker.close()

    def _scored(self, texts: Texts) -> Check:
        """What the choice of members and of precision costs, on the locked test set."""
        from fucina import evaluate

        said = run.read_json(self.folder / "metrics.json")["model"]["scores"]["token_loss"]
        judged = evaluate.judge_texts(
            replace(texts, marks={}), self.recipe.evaluation, name="merged", seed=self.recipe.seed
        ).scores["token_loss"]
        members = self.recipe.folds.count or 1
        which = f" ({self.config.members} of {members} members)" if members > 1 else ""
        return Check(
            "token_loss", f"torch merged{which}", len(texts.prompts), judged.value, None, True,
            f"[{judged.low:.3f}, {judged.high:.3f}] on the test set, the run {said['value']:.3f} "
            f"[{said['low']:.3f}, {said['high']:.3f}]",
        )  # fmt: skip
