"""How a trained model is exported."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from fucina.config.settings import Settings

__all__ = ["ShipConfig"]


class ShipConfig(Settings):
    """How a trained model is exported, and how far it is proved."""

    kind: Annotated[
        str,
        Field(description="gguf and ollama: type of the file, F32, F16, Q8_0, Q4_K_M and others."),
    ] = "Q8_0"
    precision: Annotated[
        Literal["float32", "float16", "bfloat16"],
        Field(description="adapter and merged: of the weights of a base."),
    ] = "float16"
    members: Annotated[
        str,
        Field(
            pattern="^(|best|averaged|together|distilled|[1-9][0-9]*)$",
            description="Of a run with folds: best, the number of one, averaged (the mean of their "
            "weights), together (adapter and onnx: all of them), or distilled (one more is trained "
            "on what they answer); none: together as onnx, else best.",
        ),
    ] = ""
    adapter: Annotated[
        bool, Field(description="gguf and ollama: the base in one file, the adapter in another.")
    ] = False
    int8: Annotated[
        bool, Field(description="onnx: in eight bits too, where more than 99 % answer alike.")
    ] = True
    cases: Annotated[
        int, Field(ge=1, description="Held-out rows whose prompts, odds and answers are compared.")
    ] = 64

    @field_validator("members", mode="before")
    @classmethod
    def _as_text(cls, given: object) -> object:
        return str(given) if isinstance(given, int) else given
