"""What a training is expected to look like, so that somebody says so when it does not."""

from typing import Annotated, Literal

from pydantic import Field

from fucina.config.settings import Settings

__all__ = ["ExpectationsConfig"]

Loss = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class ExpectationsConfig(Settings):
    """Watched while training and reported at the end; what is left out is not watched."""

    loss_initial: Annotated[
        Loss | None, Field(description="Training loss expected in the first epoch, nats.")
    ] = None
    loss_target: Annotated[
        Loss | None, Field(description="Training loss expected in the end, nats.")
    ] = None
    loss_warning: Annotated[
        Loss | None,
        Field(description="A warning is given when the training loss does not get below this."),
    ] = None
    metric: Annotated[
        Literal["accuracy", "balanced_accuracy"],
        Field(description="Which score of the held-out rows the next three are about."),
    ] = "accuracy"
    metric_baseline: Annotated[
        Share | None, Field(description="What is in use today; the training must beat it.")
    ] = None
    metric_milestone: Annotated[
        Share | None, Field(description="An acceptable result on the way.")
    ] = None
    metric_target: Annotated[Share | None, Field(description="The result that is wanted.")] = None
    time_expected_s: Annotated[
        Seconds | None, Field(description="How long the training should take, seconds.")
    ] = None
    time_warning_s: Annotated[
        Seconds | None, Field(description="A warning is given when it takes longer, seconds.")
    ] = None
