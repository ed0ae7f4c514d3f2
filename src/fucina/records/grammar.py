"""What answers are held to while they are written."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Grammar"]


@dataclass(frozen=True)
class Grammar:
    """All texts that an answer may be.

    Attributes:
        kind: How it is written: a regular expression, a Lark grammar, or a JSON schema.
        text: Of one of these; a Lark grammar begins with its rule `start`.
    """

    kind: Literal["regex", "lark", "json"]
    text: str
