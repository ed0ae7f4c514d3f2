"""The decision matrix: where each component of an assistant belongs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fucina.records import Component

if TYPE_CHECKING:
    from fucina.config import ComponentConfig

__all__ = ["LONG_PROMPT", "decide", "steady"]

LONG_PROMPT = 2000  # tokens of a system's prompt, above which the context is wasted on it
SAME = 0.95  # share of words that two versions have in common, from which on they are the same


def decide(
    components: "Sequence[ComponentConfig]", tokens: Sequence[int], *, stable: bool | None
) -> list[Component]:
    """Say where each component belongs; what the recipe says wins.

    What changes with every session stands before each question. What changes often, or must be
    traced to a document, is looked up. The rest is said in the prompt while that is short, or the
    assistant still changes; what is long and stable is worth learning.

    Args:
        components: n lines of the recipe.
        tokens: How long each is, n.
        stable: Whether who the assistant is has stopped to change; None where nobody knows.

    Example:
        >>> from fucina.config import ComponentConfig
        >>> lines = [ComponentConfig(name="rules", files=("a.md",)),
        ...          ComponentConfig(name="diary", files=("b",), changes="often")]
        >>> [found.approach for found in decide(lines, [300, 9000], stable=None)]
        ['prompt', 'retrieval']
    """
    static = sum(
        count for one, count in zip(components, tokens, strict=True)
        if one.changes in {"never", "rarely"} and not one.traced and one.approach == "auto"
    )  # fmt: skip
    return [
        _decided(one, count, static=static, stable=stable)
        for one, count in zip(components, tokens, strict=True)
    ]


def _decided(one: "ComponentConfig", tokens: int, *, static: int, stable: bool | None) -> Component:
    approach, why = one.approach, "as the recipe says"
    if approach == "auto":
        approach, why = _by_nature(one, static=static, stable=stable)
    return Component(one.name, tokens, one.changes, approach, why, chosen=one.approach != "auto")


def _by_nature(one: "ComponentConfig", *, static: int, stable: bool | None) -> tuple[str, str]:
    if one.changes == "each_session":
        return "session", "it changes with every session, so it stands before each question"
    if one.traced:
        return "retrieval", "answers must say which document they come from"
    if one.changes == "often":
        return "retrieval", "it changes often, and an index is brought up to date in seconds"
    if static <= LONG_PROMPT:
        return "prompt", f"it is stable, and {static:,} tokens of such parts fit in a prompt"
    if stable:
        return "fine_tune", f"it is stable, and {static:,} tokens would be read for every answer"
    known = "versions still differ" if stable is False else "advise.versions shows no stability"
    return "prompt", f"long ({static:,} tokens together), but {known}: not yet worth learning"


def steady(versions: Sequence[str]) -> tuple[bool | None, str]:
    """Whether a text has stopped to change.

    Args:
        versions: Oldest first.

    Returns:
        Whether the last two versions have nearly all words in common, in their order (the ratio of
        Ratcliff and Obershelp, as difflib counts it); None with fewer than two; and a sentence.

    Example:
        >>> steady(["sei breve e asciutta", "sei breve e asciutta"])
        (True, '100 % of the words of the last two versions are the same, in their order')
        >>> steady([])[0] is None
        True
    """
    from difflib import SequenceMatcher

    if len(versions) < 2:
        return None, "not known: name earlier files in advise.versions"
    before, now = (text.split() for text in versions[-2:])
    same = SequenceMatcher(None, before, now, autojunk=False).ratio()
    said = f"{same:.0%} of the words of the last two versions are the same, in their order"
    return same >= SAME, said.replace("%", " %")
