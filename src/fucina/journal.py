"""What a run writes while it trains: log, events, TensorBoard, checkpoints, best models."""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from fucina import run
from fucina.evaluate import as_csv, baselines_of_parts, facts, report, tokens_told
from fucina.models.memory import peak_memory_mib, peak_vram_mib
from fucina.models.saved import member_folder, save_lexicon, save_member
from fucina.plan import Estimate
from fucina.records import Calibration, Epoch, Outcome, Progress, Split
from fucina.train.checkpoint import State
from fucina.train.cross_validate import Fit, Memory
from fucina.train.members import Hooks, Member
from fucina.train.signs import Signs, met

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fucina.config import Recipe
    from fucina.models.stack import Stack

__all__ = ["Journal"]


@dataclass
class Journal:
    """Remembers where a run writes, and writes there.

    Attributes:
        folder: The run folder.
        recipe: What is trained.
        split: On which rows.
        progress: Shows steps to whoever started the run.
        say: Shows a message to them; the log gets it too.
        laps: What the stages before this took; the next ones are added.
    """

    folder: Path
    recipe: "Recipe"
    split: Split
    progress: Progress
    say: "Callable[[str], None]"
    laps: run.Laps = field(default_factory=run.Laps)
    stamp: str = field(default_factory=lambda: time.strftime("%Y%m%d-%H%M%S"))
    board: Any = None
    signs: Signs = field(init=False)
    planned: dict[str, Any] = field(default_factory=dict)
    told: int = 0

    def __post_init__(self) -> None:
        self.signs = Signs(self.recipe.expectations)
        self.told = len(self.laps.done)

    def tell(self, message: str) -> None:
        """Write a message to the log and show it."""
        self.log(message)
        self.say(message)

    def log(self, message: str) -> None:
        """Write a line to logs/training_<timestamp>.log."""
        path = self.folder / "logs" / f"training_{self.stamp}.log"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")

    def hooks(self) -> Hooks:
        """The hooks that the loop calls."""
        return Hooks(
            progress=self.progress,
            tell=self.tell,
            epoch=self._epoch,
            improved=self._improved,
            every_epoch=self._every_epoch if self.recipe.stopping.save_every_epoch else _ignore,
            lap=self.lap,
        )

    def lap(self, stage: str) -> None:
        """Note in the events that a stage ended, what it took and the peak of memory so far."""
        self.laps.end(stage)
        for lap in self.laps.done[self.told :]:
            run.append_event(self.folder, "stage", {**asdict(lap), **_peaks()})
        self.told = len(self.laps.done)

    def plan(
        self, recipe: "Recipe", estimate: Estimate, record: dict[str, Any], *, resumed: bool
    ) -> None:
        """Write what the run should take, before it is known, and what was decided by it.

        The formula alone may be off by half on a machine it has not seen; a slow epoch is only
        called slow beside an estimate that past runs have corrected.
        """
        self.planned = {**record, "resumed": resumed, "promised_mib": estimate.peak_mib}
        if self.recipe.engine.checkpointing == "auto" and recipe.engine.checkpointing:
            self.tell(
                f"about {estimate.peak_mib:.0f} MiB of memory even so: the trained layers are "
                "computed twice instead of kept (engine.checkpointing: auto)."
            )
        self.signs.planned_epoch_s = estimate.epoch_s if estimate.corrected else 0.0
        run.write_json(self.folder / "plan.json", self.planned)

    def compare_with_plan(self) -> None:
        """Write what the run took beside what was planned; later plans learn from it."""
        epochs = max((epoch.epoch for epoch in run.read_epochs(self.folder)), default=0)
        peaks = _peaks()
        truth = {
            "seconds": {lap.stage: lap.seconds for lap in self.laps.done},
            "cpu_s": {lap.stage: lap.cpu_s for lap in self.laps.done},
            "epochs": epochs,
            "resumed": self.planned["resumed"],
            "peak_mib": peaks["peak_vram_mib"] or peaks["peak_memory_mib"],
            **peaks,
        }
        run.write_json(self.folder / "plan.json", {**self.planned, "truth": truth})

    def memory(self) -> Memory:
        """Where the loop saves its state, and finds it again."""
        return Memory(save=self._save, load=self._load)

    def keep(self, fit: Fit) -> None:
        """Write the members with the weights they keep, and their out-of-fold answers."""
        alone = len(fit.stacks) == len(fit.members)
        for member in fit.members:
            save_member(
                member_folder(self.folder, self.recipe, member.index),
                fit.stacks[member.index if alone else 0],
                self.recipe,
                member.state,
                fit.lexical[member.index],
            )
        if fit.lexicon is not None:
            save_lexicon(self.folder, fit.lexicon)
        rows = [self.split.development.examples[row] for row in fit.held_out]
        run.write_answers(self.folder / "out_of_fold.parquet", fit.out_of_fold, rows)
        if self.board is not None:
            self.board.close()

    def trust(self, calibration: Calibration) -> None:
        """Write the temperature and the threshold that the model will answer with."""
        run.write_json(self.folder / "calibration.json", asdict(calibration))

    def finish(self, outcome: Outcome, fit: Fit) -> None:
        """Write what was found; metrics.json comes last and marks the run complete."""
        found = facts(outcome)
        found["members"] = [
            {
                "member": member.index + 1,
                "kept_epoch": member.kept_epoch,
                "best_epoch": member.best.epoch,
                "score": member.best.score,
                "validation_loss": member.best.loss,
                "ended": member.reason,
            }
            for member in fit.members
        ]
        found["truncated"] = list(fit.truncated)
        found["longest_tokens"] = fit.longest_tokens
        found["tokens"] = self._tokens(fit)
        found["expectations"] = self._met()
        peaks = _peaks()
        found["memory"] = {
            "peak_mib": peaks["peak_vram_mib"] or peaks["peak_memory_mib"],
            "planned_mib": self.planned["promised_mib"],
            "where": "GPU" if peaks["peak_vram_mib"] else "RAM",
        }
        found["environment"] = run.read_json(self.folder / "environment.json")
        page = report(found, run.read_events(self.folder), self.recipe.model_dump(mode="json"))
        rows = self.split.test.examples
        run.write_answers(self.folder / "predictions.parquet", outcome.predictions, rows)
        beside = [*outcome.baselines, *baselines_of_parts(outcome)]
        run.write_text(self.folder / "metrics.csv", as_csv(outcome.model, beside))
        run.write_text(self.folder / "report.html", page)
        run.write_json(self.folder / "metrics.json", found)
        self.log(outcome.verdict)
        self.log(tokens_told(found["tokens"]))
        self.tell(
            f"peak memory {found['memory']['peak_mib']:.0f} MiB of {found['memory']['where']}; the "
            f"plan said {found['memory']['planned_mib']:.0f} MiB."
        )

    def _epoch(self, epoch: Epoch) -> None:
        facts = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(epoch).items()
        }
        run.append_event(self.folder, "epoch", facts)
        train = "   -  " if math.isnan(epoch.train_loss) else f"{epoch.train_loss:.4f}"
        self.log(
            f"member {epoch.member + 1} epoch {epoch.epoch}: train loss {train}, "
            f"validation loss {epoch.validation_loss:.4f}, "
            f"{_told(epoch.scores)}"
        )
        self._board(epoch.member, epoch.epoch, facts)
        for sentence in self.signs.see(epoch):
            run.append_event(self.folder, "sign", {"member": epoch.member, "said": sentence})
            self.tell(f"member {epoch.member + 1}: {sentence}")

    def _tokens(self, fit: Fit) -> dict[str, int]:
        """Tokens of the rows that members learnt from, in all epochs, and those learnt of them."""
        counts = {"read": fit.read, **({"learnt": fit.learnt} if len(fit.learnt) else {})}
        trained = [list(fold.train) for fold in self.split.folds]
        epochs = [epoch.member for epoch in run.read_epochs(self.folder) if epoch.epoch]
        return {
            name: int(sum(each[trained[member]].sum() for member in epochs))
            for name, each in counts.items()
        }

    def _met(self) -> list[dict[str, Any]]:
        """Expectations against all epochs of the run, those before a resume too."""
        epochs = run.read_epochs(self.folder)
        spent = {epoch.epoch: epoch.seconds for epoch in epochs}
        return met(self.recipe.expectations, epochs, sum(spent.values()))

    def _board(self, member: int, step: int, facts: dict[str, Any]) -> None:
        if self.board is None:
            self.board = _open_board(self.folder / "tensorboard")
        kept = ("train_loss", "validation_loss", "gradient_norm", "learning_rate")
        shown = {**{key: facts[key] for key in kept}, **facts["scores"]}
        for key, value in shown.items():
            if value is not None:
                self.board.add_scalar(f"{key}/member_{member + 1}", value, step)

    def _improved(self, stack: "Stack", member: Member) -> None:
        if member.best.state is not None:
            folder = member_folder(self.folder, self.recipe, member.index)
            with self.laps.apart("checkpoints"):
                save_member(folder, stack, self.recipe, member.best.state, None)
        self.log(
            f"member {member.index + 1}: best so far at epoch {member.best.epoch}, "
            f"validation loss {member.best.loss:.4f}; saved"
        )

    def _every_epoch(self, stack: "Stack", member: int, epoch: int, state: Tensor) -> None:
        own = member_folder(self.folder, self.recipe, member)
        folder = self.folder / "epochs" / f"{own.name}_epoch{epoch}"
        with self.laps.apart("checkpoints"):
            save_member(folder, stack, self.recipe, state, None)

    def _save(self, group: int, state: State) -> None:
        facts = {"epoch": str(state.epoch), "facts": json.dumps(state.facts)}
        with self.laps.apart("checkpoints"):
            run.write_tensors(self._checkpoint(group), state.tensors, facts)

    def _load(self, group: int) -> State | None:
        path = self._checkpoint(group)
        if not path.is_file():
            return None
        facts = run.read_facts(path)
        self.tell(f"going on after epoch {facts['epoch']}.")
        return State(int(facts["epoch"]), run.read_tensors(path), json.loads(facts["facts"]))

    def _checkpoint(self, group: int) -> Path:
        return self.folder / "checkpoint" / f"group{group + 1}.safetensors"


def _ignore(stack: "Stack", member: int, epoch: int, state: Tensor) -> None:
    """Keep nothing: only the best is saved."""


def _told(scores: "Mapping[str, float]") -> str:
    """Scores as the log shows them."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in scores.items())


def _peaks() -> dict[str, float]:
    return {"peak_memory_mib": peak_memory_mib(), "peak_vram_mib": peak_vram_mib()}


class _NoBoard:
    """Stands in where TensorBoard is not installed."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Drop the value."""

    def close(self) -> None:
        """Nothing to finish."""


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return _NoBoard()
    return SummaryWriter(str(folder))
