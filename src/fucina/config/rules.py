"""A file of rules that answer without a model: patterns, keywords and slash commands."""

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from fucina.config.settings import Settings

__all__ = ["AnswerRuleConfig", "RulesConfig"]

Several = tuple[str, ...]


class AnswerRuleConfig(Settings):
    """One rule: what it looks for, and what it answers."""

    label: Annotated[
        str | None, Field(min_length=1, description="The label, or type of span, that it gives.")
    ] = None
    reply: Annotated[
        str | None, Field(min_length=1, description="What it says where words are wanted.")
    ] = None
    keywords: Annotated[
        Several, Field(description="Words or phrases, one or a list; each stands by itself.")
    ] = ()
    pattern: Annotated[
        Several, Field(description="Regular expressions, one or a list, in either case.")
    ] = ()
    command: Annotated[
        Several, Field(description="Slash commands that the text begins with, such as /reso.")
    ] = ()
    priority: Annotated[
        int, Field(description="Higher goes first; of equals the one that stands first.")
    ] = 0

    @field_validator("keywords", "pattern", "command", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, given: Several) -> Several:
        for pattern in given:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return given

    @field_validator("command")
    @classmethod
    def _slashed(cls, given: Several) -> Several:
        for command in given:
            if not re.fullmatch(r"/\S+", command):
                raise ValueError(f"{command!r} is no command; one is like /reso")
        return given

    @model_validator(mode="after")
    def _whole(self) -> "AnswerRuleConfig":
        if not (self.keywords or self.pattern or self.command):
            raise ValueError("it has neither keywords nor pattern nor command; add one of them")
        if self.label is None and self.reply is None:
            raise ValueError("it has neither label nor reply; add one of them")
        return self


class RulesConfig(Settings):
    """The rules, and what holds where none matches."""

    rules: Annotated[
        tuple[AnswerRuleConfig, ...],
        Field(description="A list: label or reply, and keywords, pattern or command."),
    ]
    default: Annotated[
        str | None, Field(description="The label where no rule matches; none: they do not answer.")
    ] = None
    reply: Annotated[
        str | None, Field(description="What is said where no rule matches; none: nothing is.")
    ] = None
