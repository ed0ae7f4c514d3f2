"""What is said of any model behind an OpenAI-compatible endpoint."""

from typing import Annotated, Literal

from pydantic import Field

__all__ = [
    "AtOnce",
    "Elsewhere",
    "KeyVariable",
    "ModelName",
    "Protocol",
    "Retries",
    "Seconds",
    "Url",
]

Url = Annotated[
    str, Field(description="Base address, up to /v1, such as http://localhost:11434/v1.")
]
ModelName = Annotated[str, Field(min_length=1, description="Name of the model at the endpoint.")]
KeyVariable = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key; the key is never written.",
    ),
]
Seconds = Annotated[float, Field(gt=0, le=3600, description="Seconds to wait for one answer.")]
Retries = Annotated[
    int, Field(ge=0, le=20, description="Tries after a failed request, with growing pauses.")
]
AtOnce = Annotated[int, Field(ge=1, le=64, description="Requests under way at the same time.")]
Elsewhere = Annotated[
    str | None, Field(description="Endpoint that answers, up to /v1; none: it runs here.")
]
Protocol = Annotated[Literal["openai", "anthropic"], Field(description="What the endpoint speaks.")]
