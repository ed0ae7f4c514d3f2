"""The rules that every answer must keep, and their judge: the file of `chat.constitution`."""

import re
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fucina.config.endpoint import AtOnce, KeyVariable, ModelName, Retries, Seconds, Url
from fucina.config.settings import Settings

__all__ = ["ConstitutionConfig", "JudgeConfig", "RuleConfig"]

DEMANDS = ("must", "must_not", "max_words", "min_words", "max_sentences", "language", "judge")
Patterns = Annotated[
    tuple[str, ...], Field(min_length=1, description="Regular expressions, one or a list.")
]


class RuleConfig(Settings):
    """One rule, with exactly one demand."""

    name: Annotated[str, Field(min_length=1, description="What reports call it.")]
    must: Annotated[
        Patterns | None, Field(description="Regular expressions; each must match the answer.")
    ] = None
    must_not: Annotated[
        Patterns | None, Field(description="Regular expressions; none may match the answer.")
    ] = None
    max_words: Annotated[int | None, Field(ge=1, description="The most words.")] = None
    min_words: Annotated[int | None, Field(ge=1, description="The fewest words.")] = None
    max_sentences: Annotated[int | None, Field(ge=1, description="The most sentences.")] = None
    language: Annotated[
        str | None, Field(pattern="^[a-z]{2,3}$", description="Code of the language, such as it.")
    ] = None
    judge: Annotated[
        str | None,
        Field(min_length=1, description="A rule in words, which the model of judge: decides."),
    ] = None
    when: Annotated[
        str | None,
        Field(description="Regular expression: the rule is for questions that match it."),
    ] = None
    why: Annotated[str, Field(description="The reason, for people.")] = ""

    @field_validator("must", "must_not", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @field_validator("must", "must_not", "when")
    @classmethod
    def _compiles(
        cls, given: str | tuple[str, ...] | None, info: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        for pattern in (given,) if isinstance(given, str) else given or ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"{pattern!r} is no regular expression ({info.field_name}): {error}"
                ) from error
        return given

    @model_validator(mode="after")
    def _one_demand(self) -> "RuleConfig":
        given = [key for key in DEMANDS if getattr(self, key) is not None]
        if len(given) != 1:
            told = f"has {' and '.join(given)}" if given else "demands nothing"
            raise ValueError(f"the rule {self.name!r} {told}")
        return self


class JudgeConfig(Settings):
    """A model behind an OpenAI-compatible endpoint that decides what is written in words."""

    url: Url
    model: ModelName
    key_variable: KeyVariable = "FUCINA_API_KEY"
    temperature: Annotated[
        float, Field(ge=0, le=2, description="How freely it answers; 0 judges alike each time.")
    ] = 0.0
    timeout_s: Seconds = 60.0
    retries: Retries = 3
    requests_at_once: AtOnce = 4


class ConstitutionConfig(Settings):
    """The rules that every answer must keep."""

    rules: Annotated[
        tuple[RuleConfig, ...],
        Field(description=f"A list of rules; each has a name and one of {', '.join(DEMANDS)}."),
    ]
    judge: Annotated[
        JudgeConfig | None, Field(description="The model that decides rules in words.")
    ] = None

    @field_validator("rules")
    @classmethod
    def _names_differ(cls, rules: tuple[RuleConfig, ...]) -> tuple[RuleConfig, ...]:
        names = [rule.name for rule in rules]
        if not names:
            raise ValueError("there is no rule in it")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are called {twice[0]!r}; give each its own name")
        return rules
