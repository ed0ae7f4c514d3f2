"""The conversation around a prompt: only for tasks that answer with text."""

from typing import Annotated, Literal

from pydantic import Field

from fucina.config.settings import Settings

__all__ = ["ChatConfig"]


class ChatConfig(Settings):
    """The conversation around a prompt, for tasks that answer with text.

    An encoder-decoder has no template and learns the last answer: it takes the system's words as
    what stands before every prompt, and refuses `template` and `supervise`.
    """

    system: Annotated[
        str | None,
        Field(description="What the system says first where a row does not say it itself."),
    ] = None
    template: Annotated[
        str,
        Field(
            description="How turns are written for the model: auto (the tokenizer's own, else "
            "chatml), chatml, or a Jinja file."
        ),
    ] = "auto"
    supervise: Annotated[
        Literal["assistant", "last"],
        Field(description="Which turns are learnt: all of the assistant, or the last one."),
    ] = "assistant"
    max_new_tokens: Annotated[
        int, Field(ge=1, le=32768, description="Tokens of an answer at most.")
    ] = 256
    constrain: Annotated[
        str,
        Field(
            description="What answers are held to while they are written: none; auto, what the "
            "task knows of its answers; another of its grammars by name; or a Lark grammar "
            "(.lark) or JSON schema (.json)."
        ),
    ] = "none"
    constitution: Annotated[
        str | None, Field(description="YAML file of rules that every answer must keep.")
    ] = None
    others: Annotated[
        str | None,
        Field(
            description="File of other answers (prompt, answer) that those of train are told from; "
            "without one, with a constitution, the base alone answers questions of train."
        ),
    ] = None
