"""How the weights are moved, and when that ends."""

from typing import Annotated, Literal

from pydantic import Field

from fucina.config.settings import Settings

__all__ = ["FoldsConfig", "LossConfig", "StoppingConfig", "TrainingConfig"]


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
            "auto: 20 for focal loss, 1.15 for cross entropy, off for texts and spans."
        ),
    ] = "auto"
    keep: Annotated[
        Literal["best", "rollback"],
        Field(
            description="best: the epoch of best balanced accuracy, of spans of best F1, of texts "
            "of lowest loss; rollback: the last state, or after a stop the state of `patience` "
            "epochs before it."
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
