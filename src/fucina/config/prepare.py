"""How rows are added to train: variations, examples from a model, and how many are wanted."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fucina.config.endpoint import AtOnce, KeyVariable, ModelName, Retries, Seconds, Url
from fucina.config.settings import Settings

__all__ = ["AugmentConfig", "PhaseConfig", "PromptConfig", "SynthesisConfig"]

# YAML reads 12 as a number; in a text or a label it is meant as written.
Text = Annotated[str, Field(coerce_numbers_to_str=True)]


class AugmentConfig(Settings):
    """Variations of base cases (`fucina augment`)."""

    slots: Annotated[
        dict[str, Annotated[tuple[Text, ...], Field(min_length=1)]],
        Field(default_factory=dict, description="What stands for {name} in a case: name: values."),
    ]
    cases: Annotated[
        tuple[dict[str, Any], ...],
        Field(
            description="Base cases, each with the columns of the task, such as text and label. "
            "What is asked may have {slot}, [what may be left out] and (one|or|other), an answer "
            "{slot}; a slot called like a type of spans marks what stands in it."
        ),
    ] = ()
    cases_file: Annotated[
        str | None,
        Field(description="File of more base cases, with the columns that train has."),
    ] = None
    rows_per_label: Annotated[
        int | None,
        Field(
            ge=1,
            description="Rows a label, or a type of spans, shall have, those of train counted; "
            "none: all.",
        ),
    ] = None
    rows: Annotated[
        int | None,
        Field(ge=1, description="Rows of train in all, where rows answer with text; none: all."),
    ] = None
    max_per_case: Annotated[
        int, Field(ge=1, le=100_000, description="Variations of one base case at most.")
    ] = 20
    surface: Annotated[
        tuple[Literal["lowercase", "no_punctuation", "typo", "no_accents"], ...],
        Field(description="How people type: each also varies the rows of train themselves."),
    ] = ()


class PromptConfig(Settings):
    """What a model is asked for, such as one label or one subject."""

    label: Annotated[
        Text | None,
        Field(min_length=1, description="Label of what comes back, where rows have labels."),
    ] = None
    name: Annotated[
        Text | None,
        Field(min_length=1, description="What tables and origins call it; else label or number."),
    ] = None
    given: Annotated[
        dict[str, Any],
        Field(
            default_factory=dict,
            description="Columns that are the same in all its rows, such as system; the model "
            "writes the others.",
        ),
    ]
    prompt: Annotated[
        str,
        Field(
            min_length=1,
            description="The request; {examples}, {rows}, {label} and columns that are given are "
            "filled in.",
        ),
    ]
    rows: Annotated[int, Field(ge=1, le=100_000, description="Rows wanted in all.")]


class SynthesisConfig(Settings):
    """Examples written by a model behind an OpenAI-compatible endpoint (`fucina synthesize`)."""

    url: Url
    model: ModelName
    key_variable: KeyVariable = "FUCINA_API_KEY"
    prompts: Annotated[
        tuple[PromptConfig, ...], Field(min_length=1, description="What is asked: a list.")
    ]
    rows_per_request: Annotated[
        int, Field(ge=1, le=200, description="Rows asked for at once; many repeat each other.")
    ] = 10
    temperature: Annotated[
        float, Field(ge=0, le=2, description="How freely the model writes; low repeats itself.")
    ] = 1.0
    timeout_s: Seconds = 120.0
    retries: Retries = 4
    requests_at_once: AtOnce = 2
    examples_shown: Annotated[
        int, Field(ge=0, le=100, description="Rows of train shown for {examples}; never of test.")
    ] = 5


class PhaseConfig(Settings):
    """A step on the way to the whole data set; targets count all rows so far."""

    name: Annotated[Text, Field(min_length=1, description="Such as foundation or expansion.")]
    rows: Annotated[int, Field(ge=1, description="Rows of train when the phase is done.")]
    rows_per_label: Annotated[
        int | None, Field(ge=1, description="Rows that each label has then.")
    ] = None
    note: Annotated[str, Field(description="What the phase is for, shown by fucina audit.")] = ""
