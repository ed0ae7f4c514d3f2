"""Who moves the weights, and what memory that takes."""

from typing import Annotated, Literal

from pydantic import Field

from fucina.config.settings import Settings

__all__ = ["EngineConfig"]


class EngineConfig(Settings):
    """Who moves the weights, and what memory that takes."""

    optimizer: Annotated[
        Literal["adamw", "adamw_8bit"],
        Field(
            description="adamw_8bit keeps the moments in 8 bits: a quarter of their memory; needs "
            "bitsandbytes."
        ),
    ] = "adamw"
    checkpointing: Annotated[
        Literal["auto"] | bool,
        Field(
            description="Compute the trained layers once more on the way back instead of keeping "
            "what they put out; auto: only when memory needs it."
        ),
    ] = "auto"
    backend: Annotated[
        Literal["fucina", "unsloth"],
        Field(description="unsloth: its environment trains, and the result is judged here."),
    ] = "fucina"
    python: Annotated[
        str | None, Field(description="Python of the environment that holds the backend.")
    ] = None
