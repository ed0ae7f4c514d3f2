"""The recipe: all sections together."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from fucina.config.advise import AdviseConfig
from fucina.config.chat import ChatConfig
from fucina.config.data import DataConfig
from fucina.config.engine import EngineConfig
from fucina.config.evaluation import EvaluationConfig
from fucina.config.expectations import ExpectationsConfig
from fucina.config.model import AdapterConfig, ModelConfig
from fucina.config.prepare import AugmentConfig, PhaseConfig, SynthesisConfig
from fucina.config.settings import Settings
from fucina.config.training import FoldsConfig, LossConfig, StoppingConfig, TrainingConfig
from fucina.errors import RecipeError

__all__ = ["Recipe"]


class Recipe(Settings):
    """All that a run needs to be repeated."""

    task: Annotated[str, Field(description="The kind of job: a folder of fucina/tasks.")]
    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Name of the run folder."),
    ]
    preset: Annotated[
        Literal["fast", "balanced", "quality"],
        Field(description="Defaults of adapter, training and folds; what you write wins."),
    ] = "balanced"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Same seed, same weights.")] = 13
    output: Annotated[str, Field(description="Folder for run folders.")] = "runs"
    data: DataConfig
    chat: ChatConfig = ChatConfig()
    model: ModelConfig = ModelConfig()
    adapter: AdapterConfig = AdapterConfig()
    training: TrainingConfig = TrainingConfig()
    engine: EngineConfig = EngineConfig()
    loss: LossConfig = LossConfig()
    stopping: StoppingConfig = StoppingConfig()
    folds: FoldsConfig = FoldsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    expectations: ExpectationsConfig = ExpectationsConfig()
    augment: AugmentConfig | None = None
    synthesis: SynthesisConfig | None = None
    advise: AdviseConfig | None = None
    phases: Annotated[
        tuple[PhaseConfig, ...],
        Field(description="Steps on the way to the whole data set: a list, smallest first."),
    ] = ()

    @field_validator("evaluation")
    @classmethod
    def _confident(cls, evaluation: EvaluationConfig, info: ValidationInfo) -> EvaluationConfig:
        """Shares of votes are not the confidence that held-out rows were answered with."""
        folds = info.data.get("folds")
        if folds is not None and folds.ensemble == "vote" and evaluation.max_error is not None:
            raise RecipeError(
                "evaluation.max_error: votes have no confidence to set a threshold on.",
                fix="Set folds.ensemble=average, or leave out evaluation.max_error.",
            )
        return evaluation

    @field_validator("phases")
    @classmethod
    def _grow(cls, phases: tuple[PhaseConfig, ...]) -> tuple[PhaseConfig, ...]:
        """Targets count all rows so far, so a lower one could never be the next step."""
        for key in ("rows", "rows_per_label"):
            targets = [(phase.name, getattr(phase, key)) for phase in phases]
            given = [(name, target) for name, target in targets if target is not None]
            for (before, old), (name, new) in pairwise(given):
                if new < old:
                    raise ValueError(
                        f"{name!r} has {key} {new}, below the {old} of {before!r} before it"
                    )
        return phases
