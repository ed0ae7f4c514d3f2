"""What `fucina advise` weighs: ways, models, the components of an assistant, and what they cost."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fucina.config.endpoint import Elsewhere, KeyVariable, Protocol, Retries, Seconds
from fucina.config.retrieval import IndexConfig, SearchConfig
from fucina.config.settings import Settings

__all__ = ["WAYS", "AdviseConfig", "ComponentConfig", "ContenderConfig", "CostConfig", "Way"]

Way = Literal["prompt", "few_shot", "retrieval", "fine_tune", "fine_tune_retrieval"]
WAYS: tuple[Way, ...] = ("prompt", "few_shot", "retrieval", "fine_tune", "fine_tune_retrieval")


class ContenderConfig(Settings):
    """A model that is prompted beside the base of the recipe."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$", description="What tables call it.")
    ]
    by: Annotated[
        str,
        Field(
            min_length=1,
            description="A base (favilla, a folder or hub id of a decoder), a run that writes, or, "
            "with url, the name of a model there.",
        ),
    ]
    url: Elsewhere = None
    protocol: Protocol = "openai"
    key_variable: KeyVariable = "OPENAI_API_KEY"
    timeout_s: Seconds = 60.0
    retries: Retries = 4
    price_read: Annotated[
        float | None,
        Field(ge=0, description="USD for a million tokens that it reads; behind an endpoint."),
    ] = None
    price_written: Annotated[
        float | None,
        Field(ge=0, description="USD for a million tokens that it writes; behind an endpoint."),
    ] = None

    @model_validator(mode="after")
    def _priced_alike(self) -> "ContenderConfig":
        if (self.price_read is None) != (self.price_written is None):
            raise ValueError("give both price_read and price_written, or neither")
        if self.url is None and self.price_read is not None:
            raise ValueError(
                "prices of tokens are for models behind a url; one that runs here costs "
                "advise.cost.price_per_hour"
            )
        return self


class ComponentConfig(Settings):
    """A part of what an assistant has to know: a line of the decision matrix."""

    name: Annotated[str, Field(min_length=1, max_length=40, description="Such as constitution.")]
    files: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="Files and folders that hold it, relative to the recipe."),
    ]
    changes: Annotated[
        Literal["never", "rarely", "often", "each_session"],
        Field(description="How often it changes."),
    ] = "rarely"
    traced: Annotated[
        bool, Field(description="Answers must say which document they come from.")
    ] = False
    approach: Annotated[
        Literal["auto", "prompt", "retrieval", "session", "fine_tune"],
        Field(
            description="Where it goes: auto, what the matrix says; prompt, always before the "
            "question; retrieval, looked up; session, always before the documents; fine_tune, "
            "learnt, and in the prompt of models that have not learnt it."
        ),
    ] = "auto"


class CostConfig(Settings):
    """What answers cost."""

    queries_per_month: Annotated[int, Field(ge=1, description="How much is asked.")] = 1000
    price_per_hour: Annotated[
        float | None,
        Field(
            ge=0,
            description="USD an hour of the machine that hosts and trains, always on; none: what "
            "the hardware table says of a laptop, or of a T4 where there is a GPU.",
        ),
    ] = None
    months: Annotated[
        int, Field(ge=1, le=120, description="In how many months a training is paid back.")
    ] = 12
    busy_share: Annotated[
        float,
        Field(gt=0, le=1, description="Share of the time that a machine may be answering at most."),
    ] = 0.5


class AdviseConfig(Settings):
    """Which ways are tried, on the test rows of the recipe."""

    ways: Annotated[
        tuple[Way, ...],
        Field(min_length=1, description="What is tried; those that cannot be are told."),
    ] = WAYS
    models: Annotated[
        tuple[ContenderConfig, ...],
        Field(description="Models that are prompted, beside the base of the recipe: a list."),
    ] = ()
    components: Annotated[
        tuple[ComponentConfig, ...],
        Field(description="The decision matrix: what the assistant has to know, a line a part."),
    ] = ()
    metric: Annotated[
        str | None, Field(description="The score that decides; none: the task's own.")
    ] = None
    by: Annotated[
        str | None,
        Field(
            description="Column of data.test that says what a row is about, such as a component: "
            "each is scored by itself too."
        ),
    ] = None
    tolerance: Annotated[
        float,
        Field(ge=0, le=1, description="How much of that score may be given up for a cheaper way."),
    ] = 0.02
    shots: Annotated[
        int, Field(ge=1, le=64, description="Training rows shown by few_shot, and looked up.")
    ] = 4
    hybrid: Annotated[
        Literal["injected", "trained", "quoted"],
        Field(
            description="fine_tune_retrieval: injected, the trained model is given documents that "
            "it never saw in training; trained, it is trained again on rows with theirs; quoted, "
            "documents answer by their own sentences where they are likely to, else the model."
        ),
    ] = "injected"
    search: SearchConfig = SearchConfig(top=3)
    index: IndexConfig = IndexConfig()
    cost: CostConfig = CostConfig()
    versions: Annotated[
        tuple[str, ...],
        Field(description="Earlier files of who the assistant is, oldest first, and the one now."),
    ] = ()

    @field_validator("models")
    @classmethod
    def _apart(cls, models: tuple[ContenderConfig, ...]) -> tuple[ContenderConfig, ...]:
        names = [model.name for model in models]
        taken = sorted({"base", "none"} & set(names))
        if taken:
            raise ValueError(
                f"{taken[0]!r} is what tables call the recipe's own base, or no model at all"
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models are called {twice[0]!r}")
        return models

    @field_validator("components")
    @classmethod
    def _told_apart(cls, components: tuple[ComponentConfig, ...]) -> tuple[ComponentConfig, ...]:
        names = [component.name for component in components]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two components are called {twice[0]!r}")
        return components
