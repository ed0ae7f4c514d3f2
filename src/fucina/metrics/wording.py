"""Words and sentences of a text, as far as they can be told without knowing its language."""

import re

__all__ = ["SHORT_FORMS", "sentences", "words"]

# A full stop after these ends no sentence; the letter behind an apostrophe is a word ("c'è.").
SHORT_FORMS = re.compile(
    r"(?:(?<!['’])\b(?:dr|mr|mrs|ms|prof|st|no|vs|etc|e\.g|i\.e|sig|dott|ing|avv|art|pag|es|ecc|[a-z])\.)$",
    re.IGNORECASE,
)
BREAK = re.compile(r"(?<=[.!?…])[\"'”’»)\]*_]*\s+|(?<=[。！？])|\n+")


def words(text: str) -> list[str]:
    """The words of a text; an apostrophe or hyphen inside one does not divide it.

    Example:
        >>> words("Com'è il mare? Grosso, 2,5 metri.")
        ["Com'è", 'il', 'mare', 'Grosso', '2,5', 'metri']
    """
    return re.findall(r"\w+(?:[-'’.,]\w+)*", text)


def sentences(text: str) -> list[str]:
    """The sentences of a text: up to a closing mark, or a line.

    Example:
        >>> sentences("Il sig. Rossi esce. Torna alle 5.30! Poi")
        ['Il sig. Rossi esce.', 'Torna alle 5.30!', 'Poi']
        >>> sentences("Il sig. M. Rossi c'è. Anna no.")
        ["Il sig. M. Rossi c'è.", 'Anna no.']
    """
    found: list[str] = []
    for part in BREAK.split(text):
        if found and SHORT_FORMS.search(found[-1]) and not found[-1].endswith("\n"):
            found[-1] = f"{found[-1]} {part}"
        elif re.search(r"\w", part):
            found.append(part.strip())
    return found
