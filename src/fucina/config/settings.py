"""What every section of a recipe is."""

from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict

__all__ = ["Settings", "section"]


class Settings(BaseModel):
    """A section: frozen, and an unknown key is an error.

    Attributes:
        brings_rows: A recipe with this section may do without data.train.
    """

    brings_rows: ClassVar[bool] = False
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def section(annotation: Any) -> type[Settings] | None:
    """The section that a field holds: alone, as one that may be left out, or as a list of them.

    Example:
        >>> class Part(Settings):
        ...     rows: int = 1
        >>> section(Part) is section(Part | None) is section(tuple[Part, ...]) is Part
        True
        >>> section(tuple[str, ...]) is None
        True
    """
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((kind for part in get_args(annotation) if (kind := section(part))), None)
