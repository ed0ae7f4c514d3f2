"""The settings of several tasks at once: the parts, each with its task, rows and words."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from fucina.config import Settings
from fucina.errors import RecipeError

__all__ = ["SETTINGS", "MultitaskConfig", "PartConfig"]


class PartConfig(Settings):
    """One of the tasks that the model learns."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$",
            description="What rows, scores and goals call it: letters, digits, . _ -",
        ),
    ]
    task: Annotated[
        str, Field(description="What it does: a task that writes, or one that answers with labels.")
    ]
    train: Annotated[str | None, Field(description="File of its rows, relative to the recipe.")] = (
        None
    )
    validation: Annotated[
        str | None, Field(description="Its rows to choose the best epoch on; all parts or none.")
    ] = None
    test: Annotated[
        str | None, Field(description="Its held-out rows; all parts have such a file, or none.")
    ] = None
    columns: Annotated[
        dict[str, str],
        Field(
            default_factory=dict,
            description="Fields of its task to the columns that hold them: field: column.",
        ),
    ]
    group: Annotated[
        str | None, Field(description="Column of groups, which never straddle a split.")
    ] = None
    system: Annotated[
        str | None,
        Field(description="What the system says first where a row does not say it itself."),
    ] = None
    settings: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="The section that its task has, such as of SQL."),
    ]


class MultitaskConfig(Settings):
    """The tasks that one model learns together; for multitask alone."""

    brings_rows: ClassVar[bool] = True

    parts: Annotated[
        tuple[PartConfig, ...],
        Field(description="The tasks: a list. data.train, a file with a column part, goes first."),
    ] = ()

    @field_validator("parts")
    @classmethod
    def _apart(cls, parts: tuple[PartConfig, ...]) -> tuple[PartConfig, ...]:
        """Rows and scores know a part by its name."""
        names = [part.name for part in parts]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise RecipeError(
                f"multitask.parts: {names.count(twice)} parts are called {twice!r}.",
                fix="Give each part a name of its own.",
            )
        return parts


SETTINGS = MultitaskConfig
