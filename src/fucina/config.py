"""The recipe: every setting declared once, with its default, meaning and range.

A recipe is a YAML file of sections; a section is one small class here and belongs to one stage.
The command line, the JSON schema and the docs read the settings from these classes.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AdapterConfig",
    "DataConfig",
    "EvaluationConfig",
    "FoldsConfig",
    "LossConfig",
    "ModelConfig",
    "Recipe",
    "StoppingConfig",
    "TrainingConfig",
]

Unit = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """A section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(Settings):
    """What to read, and which rows are kept away from training."""

    train: Annotated[str, Field(description="File of labelled rows, relative to the recipe.")]
    validation: Annotated[
        str | None, Field(description="Rows to choose the best epoch on; else a share of train.")
    ] = None
    test: Annotated[
        str | None, Field(description="Held-out rows, never trained on; else a share of train.")
    ] = None
    format: Annotated[
        Literal["auto", "csv", "tsv", "jsonl", "json", "parquet", "messages", "sharegpt", "alpaca"],
        Field(description="How the files are written; auto looks at suffix and first row."),
    ] = "auto"
    encoding: Annotated[str, Field(description="Text encoding of the files.")] = "utf-8"
    text: Annotated[str, Field(description="Column that holds the text.")] = "text"
    label: Annotated[str, Field(description="Column that holds the label.")] = "label"
    group: Annotated[
        str | None,
        Field(description="Column of groups; rows of one group never straddle a split."),
    ] = None
    test_share: Annotated[
        float, Field(gt=0, lt=1, description="Share of rows for test when no file is given.")
    ] = 0.2
    validation_share: Annotated[
        float, Field(gt=0, lt=1, description="Share of the rest for validation without folds.")
    ] = 0.15
    allow_duplicates: Annotated[
        bool, Field(description="Go on although the same text is in train and test.")
    ] = False


class ModelConfig(Settings):
    """Which base model, and how a sentence becomes one vector."""

    base: Annotated[
        str, Field(description="Alias (minilm), Hugging Face id, or folder of a model.")
    ] = "minilm"
    pooling: Annotated[
        Literal["auto", "mean", "cls", "last"],
        Field(description="Which tokens make the vector; auto reads the model's own file."),
    ] = "auto"
    max_length_tokens: Annotated[
        int, Field(ge=4, le=32768, description="Longer inputs are cut here (and counted).")
    ] = 256
    lexical: Annotated[
        bool,
        Field(description="Add n-grams of characters to the head: what the base does not know."),
    ] = True


class AdapterConfig(Settings):
    """What is trained beside the head."""

    kind: Annotated[
        Literal["lora", "full", "head"],
        Field(description="lora: low-rank adapters; full: all weights; head: only the head."),
    ] = "lora"
    rank: Annotated[
        int, Field(ge=1, le=1024, description="Size of the adapter: more learns and weighs more.")
    ] = 16
    alpha: Annotated[
        float, Field(gt=0, description="Strength of the adapter; it is scaled by alpha / rank.")
    ] = 32.0
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of adapter inputs dropped while training.")
    ] = 0.0
    target_modules: Annotated[
        str | tuple[str, ...],
        Field(description="all-linear, attention, or names of linear layers to adapt."),
    ] = "all-linear"
    layers: Annotated[
        Literal["all"] | Annotated[int, Field(ge=1)],
        Field(description="Adapt the top n layers; the frozen ones below run only once."),
    ] = 2


class LossConfig(Settings):
    """Details of the loss that `training.loss` names."""

    gamma: Annotated[
        float, Field(ge=0, le=10, description="Focal loss: how fast easy examples fade.")
    ] = 2.0
    alpha: Annotated[
        Annotated[float, Field(gt=0)] | dict[str, Annotated[float, Field(gt=0)]] | None,
        Field(description="Focal loss: weight of every label, or label: weight."),
    ] = None
    class_weights: Annotated[
        Literal["none", "balanced"],
        Field(description="balanced: rare labels count more; weights sum to the label count."),
    ] = "none"


class TrainingConfig(Settings):
    """How the weights are moved."""

    epochs: Annotated[int, Field(ge=1, le=10_000, description="Passes over the rows.")] = 4
    batch_size: Annotated[
        int, Field(ge=1, le=65_536, description="Rows a member sees at once.")
    ] = 16
    accumulation: Annotated[
        int, Field(ge=1, le=4096, description="Batches added up before one step.")
    ] = 1
    learning_rate: Annotated[
        float, Field(gt=0, le=1, description="Peak step size of the adapters.")
    ] = 5e-4
    head_learning_rate: Annotated[
        float | None,
        Field(gt=0, le=10, description="Peak step size of the head; default: the adapters' own."),
    ] = None
    schedule: Annotated[
        Literal["cosine", "linear", "constant"], Field(description="Decay after the warm-up.")
    ] = "cosine"
    warmup: Annotated[
        float,
        Field(ge=0, description="Warm-up: below 1 a fraction of the run, else a count of steps."),
    ] = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=1, description="AdamW weight decay.")] = 0.01
    max_gradient_norm: Annotated[
        float, Field(gt=0, description="Gradients of a member are scaled down to this norm.")
    ] = 1.0
    loss: Annotated[Literal["cross_entropy", "focal"], Field(description="What is made small.")] = (
        "cross_entropy"
    )
    start: Annotated[
        Literal["floor", "cold"],
        Field(description="floor: the head starts from the frozen model's; cold: from zero."),
    ] = "floor"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(description="auto takes bfloat16 where the machine computes it natively."),
    ] = "auto"


class StoppingConfig(Settings):
    """When a member gives up, and which weights it keeps."""

    patience: Annotated[
        int, Field(ge=1, le=1000, description="Bad epochs in a row before giving up.")
    ] = 5
    min_gain: Annotated[
        float, Field(ge=0, description="Smallest fall of the validation loss that counts, nats.")
    ] = 1e-3
    max_ratio: Annotated[
        Literal["auto", "off"] | Annotated[float, Field(gt=1)],
        Field(
            description="An epoch is bad when validation/training loss is above this; "
            "auto: 20 for focal loss, 1.15 for cross entropy."
        ),
    ] = "auto"
    keep: Annotated[
        Literal["best", "rollback"],
        Field(
            description="best: the epoch of best balanced accuracy; rollback: the last state, "
            "or after a stop the state of `patience` epochs before it."
        ),
    ] = "best"
    save_every_epoch: Annotated[
        bool, Field(description="Keep the adapters of every epoch on disk, not the best alone.")
    ] = False


class FoldsConfig(Settings):
    """K-fold cross validation."""

    count: Annotated[
        int, Field(ge=0, le=100, description="0: one model; K: K models, each judged on its fold.")
    ] = 0
    ensemble: Annotated[
        Literal["average", "vote"], Field(description="How the models answer together.")
    ] = "average"


Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "log_loss",
    "ece",
]
METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "log_loss": "log loss (lower is better)",
    "ece": "calibration error (lower is better)",
}


class EvaluationConfig(Settings):
    """How the model is judged."""

    confidence: Annotated[
        float, Field(gt=0.5, lt=1, description="Confidence level of the intervals.")
    ] = 0.95
    bootstrap_samples: Annotated[
        int, Field(ge=100, le=100_000, description="Resamples behind each interval.")
    ] = 1000
    baselines: Annotated[
        tuple[Literal["majority", "words", "characters", "frozen"], ...],
        Field(description="Free baselines trained on the same rows."),
    ] = ("majority", "words", "characters", "frozen")
    rules: Annotated[
        str | None, Field(description="YAML file of rules to judge as a baseline.")
    ] = None
    goals: Annotated[
        dict[Metric, float],
        Field(description="Scores the model must reach on test: metric: value."),
    ] = {}


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
    model: ModelConfig = ModelConfig()
    adapter: AdapterConfig = AdapterConfig()
    training: TrainingConfig = TrainingConfig()
    loss: LossConfig = LossConfig()
    stopping: StoppingConfig = StoppingConfig()
    folds: FoldsConfig = FoldsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
