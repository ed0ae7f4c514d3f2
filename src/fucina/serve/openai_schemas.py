"""Requests of OpenAI's interface: what is used of them, what must be neutral, and the rest."""

import json
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from fucina.serve.schemas import AnyText, ModelName, Shape, shallow

__all__ = ["ChatBody", "CompletionBody", "EmbeddingBody", "ToolCall", "Turn"]

NEUTRAL: dict[str, tuple[Any, ...]] = {  # that clients send, and that must say nothing here
    "n": (1,), "best_of": (1,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "logit_bias": ({},), "echo": (False,), "suffix": ("",), "modalities": (["text"],),
    "audio": (), "functions": (), "function_call": ("auto", "none"),
    "tool_choice": ("auto", "none"), "prediction": (), "web_search_options": (), "dimensions": (),
}  # fmt: skip
COLD = 1e-6  # a lower temperature is 0

# Fields that change nothing are left out; those that would are refused.
LENIENT = ConfigDict(extra="ignore", allow_inf_nan=False, populate_by_name=True)


def _neutral(given: Any) -> Any:
    """Refuse what would change the answer and is not supported."""
    if isinstance(given, dict):
        for name, values in NEUTRAL.items():
            value = given.get(name)
            if value is not None and value not in values:
                raise ValueError(f"{name} is not supported; leave it out")
    return given


class Part(BaseModel):
    """Some of what a turn says."""

    type: Literal["text", "input_text"]
    text: AnyText


class ToolFunction(BaseModel):
    """What is called, with its arguments as JSON."""

    name: AnyText
    arguments: AnyText = "{}"


class ToolCall(BaseModel):
    """A call of a tool."""

    id: AnyText = ""
    type: Literal["function"] = "function"
    function: ToolFunction

    @property
    def parsed(self) -> dict[str, Any]:
        """The call as templates read it, its arguments as an object."""
        try:
            arguments = shallow(json.loads(self.function.arguments or "{}"))
        except (ValueError, RecursionError):
            arguments = {"arguments": self.function.arguments}
        called = {"name": self.function.name, "arguments": arguments}
        return {"type": "function", "function": called}


class Turn(BaseModel):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: AnyText | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    name: AnyText | None = None

    @property
    def text(self) -> str:
        """What is said, in one text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class Schema(BaseModel):
    """A JSON schema with its name."""

    name: AnyText = "answer"
    shape: Annotated[Shape, Field(validation_alias=AliasChoices("schema", "shape"))] = {}


class Format(BaseModel):
    """The form that an answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None

    @property
    def schema_text(self) -> str | None:
        """The schema that the answer is held to; None for any text."""
        if self.type == "text":
            return None
        shape = self.json_schema.shape if self.json_schema else {}
        return json.dumps(shape or {"type": "object"})


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False


MaxTokens = Annotated[
    int | None, Field(ge=1, description="Of the answer; none: as the run learnt.")
]
Temperature = Annotated[
    float | None,
    Field(ge=0, le=2, description="0, the default here: the likeliest words."),
    # Odds divided by less than this are no numbers any more, and say the same as 0.
    AfterValidator(lambda warmth: 0.0 if warmth is not None and warmth < COLD else warmth),
]
TopP = Annotated[float | None, Field(gt=0, le=1, description="Of the odds, to draw from.")]
Seed = Annotated[int | None, Field(ge=-(2**63), lt=2**63, description="Draws alike.")]
Stop = Annotated[
    AnyText | Annotated[list[AnyText], Field(max_length=16)] | None,
    Field(description="Texts before which the answer ends."),
]


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


class ChatBody(BaseModel):
    """A conversation whose next turn is wanted."""

    model_config = LENIENT
    model: ModelName = None
    max_tokens: MaxTokens = None
    temperature: Temperature = None
    top_p: TopP = None
    seed: Seed = None
    stop: Stop = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    refused = model_validator(mode="before")(_neutral)
    messages: Annotated[list[Turn], Field(min_length=1, description="The turns so far.")]
    max_completion_tokens: Annotated[
        int | None, Field(ge=1, description="The same as max_tokens.")
    ] = None
    logprobs: bool | None = False
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    response_format: Format | None = None
    tools: list[Shape] | None = None

    @field_validator("messages")
    @classmethod
    def _asks(cls, turns: list[Turn]) -> list[Turn]:
        if turns[-1].role not in {"user", "tool"}:
            raise ValueError("the last turn must be the user's, or of a tool")
        if not turns[-1].text.strip():
            raise ValueError("the last turn says nothing")
        return turns

    @property
    def stops(self) -> tuple[str, ...]:
        """The stops."""
        return _stops(self.stop)

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionBody(BaseModel):
    """A text to go on with."""

    model_config = LENIENT
    model: ModelName = None
    max_tokens: MaxTokens = None
    temperature: Temperature = None
    top_p: TopP = None
    seed: Seed = None
    stop: Stop = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    refused = model_validator(mode="before")(_neutral)
    prompt: AnyText | Annotated[list[AnyText], Field(min_length=1)]
    logprobs: Annotated[int | None, Field(ge=0, le=20, description="So many other tokens.")] = None

    @property
    def prompts(self) -> list[str]:
        """All of them."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def stops(self) -> tuple[str, ...]:
        """The stops."""
        return _stops(self.stop)

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class EmbeddingBody(BaseModel):
    """Texts whose vectors are wanted."""

    model_config = LENIENT
    refused = model_validator(mode="before")(_neutral)
    model: ModelName = None
    input: AnyText | Annotated[list[AnyText], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = "float"

    @field_validator("input", mode="before")
    @classmethod
    def _no_ids(cls, given: Any) -> Any:
        """Refuse what some clients make of texts, as other models cut texts otherwise."""
        first = given[0] if isinstance(given, list) and given else None
        if isinstance(first, int) or (isinstance(first, list) and first):
            raise ValueError(
                "numbers of tokens mean nothing here; send texts "
                "(OpenAIEmbeddings of LangChain: check_embedding_ctx_length=False)"
            )
        return given

    @property
    def texts(self) -> list[str]:
        """All of them."""
        return [self.input] if isinstance(self.input, str) else self.input
