"""Export the model of a run for others to load, with proof that it answers as the run does."""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import export, run, tasks
from fucina.config import LOW_IS_GOOD, ShipConfig
from fucina.errors import RecipeError, RunError, nearest
from fucina.opening import load_as
from fucina.records import Check, Dataset, Example, Progress, Proof, Texts, silent
from fucina.tasks.settings import learnt_as
from fucina.using import test_set

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.export.gguf import Trained
    from fucina.models.writer import Writer

__all__ = ["TARGETS", "Shipped", "ship"]

TARGETS = ("merged", "gguf", "ollama")


@dataclass(frozen=True)
class Shipped:
    """What was written.

    Attributes:
        folder: Where it is.
        files: Their names.
        proof: What was compared.
        next: A command that uses it.
    """

    folder: str
    files: tuple[str, ...]
    proof: Proof
    next: str


def ship(
    path: Path,
    to: str,
    output: Path | None = None,
    *,
    config: ShipConfig | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
) -> Shipped:
    """Export the model of a run.

    Nothing is left behind where it cannot be; where the proof fails, the folder is called
    NAME.failed, so that nobody takes it for the model.

    Args:
        path: A run, or a recipe's name, whose newest complete run is meant.
        to: One of `TARGETS`.
        output: A new folder; by default NAME-TARGET.
        config: How; None for the defaults.
        progress: Shows steps.
        say: Shows messages.

    Raises:
        RunError: The run is broken, the folder is there already, or the proof fails.
        RecipeError: This run has no such export.
        ModelError: Its network has none.
        MissingExtraError: A library is not installed.
    """
    folder = run.find_complete(path)
    recipe = run.read_recipe(folder)
    _require_writer(recipe, to)
    place = output or Path(f"{recipe.name}-{to}")
    failed = place.with_name(f"{place.name}.failed")
    for there in (place, failed):
        if there.exists():
            raise RunError(
                f"{there} exists already.", fix="Give --output a new folder, or delete it."
            )
    beside = place.with_name(f".{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        shipped = _Shipment(folder, recipe, to, config or ShipConfig(), progress, say).write(beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    proof = shipped.proof
    run.write_json(beside / "verify.json", {"passed": proof.passed, **asdict(proof)})
    run.write_text(beside / "README.md", export.card(folder, recipe, proof, to))
    run.move_whole(beside, place if proof.passed else failed)
    if not proof.passed:
        wrong = "; ".join(
            f"{check.name} ({check.engine}) {check.value:.4g}, held to {check.limit:.4g}"
            for check in proof.checks
            if not check.passed and check.limit is not None
        )
        raise RunError(
            f"the export does not answer as the run does: {wrong}.",
            fix=f"Look at {failed / 'verify.json'}; more bits (kind=F16, precision=float32) keep "
            "more.",
        )
    files = tuple(sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()))
    return replace(shipped, folder=str(place), files=files)


def _require_writer(recipe: "Recipe", to: str) -> None:
    if to not in TARGETS:
        raise RecipeError(f"no export is called {to!r}.", fix=nearest(to, TARGETS))
    if tasks.get(recipe.task).answer != "text":
        raise RecipeError(
            f"{recipe.name} answers with {tasks.get(recipe.task).answer}s; {to} is for runs that "
            "write.",
            fix="Serve it as it is: fucina serve RUN.",
        )


class _Shipment:
    """Remembers one export."""

    def __init__(
        self,
        folder: Path,
        recipe: "Recipe",
        to: str,
        config: ShipConfig,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.recipe, self.to, self.config = folder, recipe, to, config
        self.progress, self.say = progress, say

    def write(self, place: Path) -> Shipped:
        """Write and prove it."""
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
        return Shipped(str(place), (), Proof(tuple(checks), facts), self._next())

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
        with suppress(ImportError):
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
        import llama_cpp  # noqa: F401  raises where it is not installed

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

    def _next(self) -> str:
        place = f"{self.recipe.name}-{self.to}"
        if self.to == "ollama":
            return f"cd {place} && ollama create {self.recipe.name} -f Modelfile"
        if self.to == "gguf":
            return f"fucina serve {place}/{self.recipe.name}-{self.config.kind}.gguf"
        return f"vllm serve {place} --served-model-name {self.recipe.name}"
