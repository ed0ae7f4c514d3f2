"""Under which license a base is: what its page says, and the text beside it."""

import re
from dataclasses import dataclass

from fucina.models.source import beside, locate

__all__ = ["License", "license_of"]

FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md")
HEAD = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)


@dataclass(frozen=True)
class License:
    """A license.

    Attributes:
        name: As the page of the model has it, such as `apache-2.0`; empty where it is not told.
        text: The whole; empty without one.
    """

    name: str = ""
    text: str = ""


def license_of(base: str) -> License:
    """What is known of the license of a base.

    Args:
        base: Alias, folder or hub id.

    Example:
        >>> license_of("favilla").name
        'apache-2.0'
    """
    source = locate(base)
    page = beside(source, "README.md")
    head = HEAD.match(page.read_text(encoding="utf-8", errors="replace")) if page else None
    named = re.search(r"(?m)^license:[ \t]*(\S+)", head.group(1)) if head else None
    texts = (beside(source, file) for file in FILES)
    text = next((path.read_text("utf-8", errors="replace") for path in texts if path), "")
    return License(named.group(1).strip("\"'") if named else "", text)
