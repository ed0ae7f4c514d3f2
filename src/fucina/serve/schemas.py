"""What requests may hold, and what replies do."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "AskBody",
    "BatchBody",
    "BatchReply",
    "ExplainBody",
    "ModelName",
    "PredictBody",
    "PredictReply",
    "Shape",
    "SpanReply",
    "Text",
    "shallow",
]

MOST_EXPLAINED = 20_000  # characters; each word of them is weighed, and others wait meanwhile
DEEPEST = 64  # a template or a grammar that goes into itself for each level ends at some depth


def _whole(text: str) -> str:
    """Refuse halves of characters, which JSON can write and nothing else can."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("half a character: a surrogate without its other one") from error
    return text


def _worded(text: str) -> str:
    if not text.strip():
        raise ValueError("there is no text")
    return _whole(text)


def shallow(value: Any) -> Any:
    """Refuse what is nested so deep that nothing behind could read it, and halves of characters.

    Raises:
        ValueError: The value is so.

    Example:
        >>> shallow({"type": "object"})
        {'type': 'object'}
    """
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        raise ValueError(f"nested over {DEEPEST} deep")
    _whole(json.dumps(value, ensure_ascii=False))
    return value


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


AnyText = Annotated[str, AfterValidator(_whole)]
WORDED = (
    AfterValidator(_worded),
    Field(description="What is asked, in words.", json_schema_extra={"pattern": r"\S"}),
)
Text = Annotated[str, *WORDED]
Shape = Annotated[dict[str, Any], AfterValidator(shallow)]
ModelName = Annotated[
    str | None,
    AfterValidator(lambda name: None if name is None else _whole(name)),
    Field(description="Which model answers; none: the first that is served."),
]
Fields = Annotated[
    dict[str, AnyText], Field(description="Further fields of the task, such as schema.")
]


STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)  # an unknown field is an error


class PredictBody(BaseModel):
    """One text."""

    model_config = STRICT
    model: ModelName = None
    text: Text
    fields: Fields = {}


class BatchBody(BaseModel):
    """Several texts, each answered by itself."""

    model_config = STRICT
    model: ModelName = None
    texts: Annotated[list[Text], Field(min_length=1, description="What is asked.")]
    fields: Fields = {}


class ExplainBody(BaseModel):
    """One text whose answer is to be explained."""

    model_config = STRICT
    model: ModelName = None
    text: Annotated[str, Field(max_length=MOST_EXPLAINED), *WORDED]
    label: Annotated[
        AnyText | None, Field(description="Explain this answer; none: the one that it gives.")
    ] = None
    method: Annotated[
        Literal["occlusion", "gradients"], Field(description="How words are weighed.")
    ] = "occlusion"


class AskTurn(BaseModel):
    """What was said before."""

    model_config = STRICT
    role: Literal["user", "assistant"]
    content: AnyText


class AskBody(BaseModel):
    """A question to the documents."""

    model_config = STRICT
    question: Text
    history: Annotated[list[AskTurn], Field(description="Earlier turns, oldest first.")] = []


class SpanReply(BaseModel):
    """A stretch of the text."""

    start: int = Field(description="Its first character, counted from 0.")
    end: int = Field(description="The character behind its last.")
    label: str
    text: str
    confidence: float | None = None


class PredictReply(BaseModel):
    """An answer, and who gave it."""

    model: str
    answer: str | list[SpanReply] | None = Field(description="None where nobody answers.")
    route: Literal["model", "rules", "endpoint", "none"] = Field(description="Who answered.")
    reason: str = Field(description="Why not the model: unsure, timeout, error or nan.")
    note: str = Field(default="", description="More on the reason.")
    confidence: float | None = Field(default=None, description="Of the model, 0 to 1.")
    probabilities: dict[str, float] | None = None
    guess: str | None = Field(default=None, description="What the model was not sure of.")
    reply: str | None = Field(default=None, description="What the rules say in words.")
    rule: int | None = Field(default=None, description="The rule that answered; 0: the default.")
    cut: bool | None = Field(default=None, description="The text was too long to be read whole.")
    ended: bool | None = Field(default=None, description="A written answer ended by itself.")
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


class BatchReply(BaseModel):
    """Answers in the order of the texts."""

    model: str
    answers: list[PredictReply]


Json = dict[str, Any]
