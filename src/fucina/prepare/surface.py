"""The same words as people type them: lower case, no signs, a slip, no accents.

Each says what becomes of every letter of a text, so that what is marked in it stays marked.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Mapping

__all__ = ["SURFACES", "lowercase", "no_accents", "no_punctuation", "typo"]

# Keys beside each other; on the common national layouts letters move, their neighbors mostly stay.
KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
LONG = 4  # letters of a word that stays readable with one of them wrong


def lowercase(text: str, _: random.Random) -> list[str]:
    """All letters small.

    Example:
        >>> "".join(lowercase("Dov'È?", random.Random(0)))
        "dov'è?"
    """
    return [letter.lower() for letter in text]


def no_punctuation(text: str, _: random.Random) -> list[str]:
    """Without signs, but for those inside a word or number.

    Example:
        >>> "".join(no_punctuation("Ciao, dov'è l'e-mail da 1.200 euro?!", random.Random(0)))
        "Ciao dov'è l'e-mail da 1.200 euro"
    """
    kept = [
        " "
        if unicodedata.category(sign).startswith("P")
        and not (text[place - 1 : place].isalnum() and text[place + 1 : place + 2].isalnum())
        else sign
        for place, sign in enumerate(text)
    ]
    spaced = [" " if sign.isspace() else sign for sign in kept]
    # A space stays only in front of a word, and behind another.
    written = "".join(spaced).rstrip()
    return [
        ""
        if sign == " "
        and (place >= len(written) or written[max(0, place - 1) : place] in {"", " "})
        else sign
        for place, sign in enumerate(spaced)
    ]


def no_accents(text: str, _: random.Random) -> list[str]:
    """As Italians type without accented keys: an apostrophe at the end of a word, else nothing.

    Example:
        >>> "".join(no_accents("Perché è così, señor?", random.Random(0)))
        "Perche' e' cosi', senor?"
    """
    written: list[str] = []
    for place, letter in enumerate(text):
        if unicodedata.combining(letter):
            written.append("")  # it went with the letter before it
            continue
        behind = place + 1
        while behind < len(text) and unicodedata.combining(text[behind]):
            behind += 1
        plain, *marks = unicodedata.normalize("NFD", text[place:behind])
        last = not text[behind : behind + 1].isalnum()
        vowel = plain.lower() in "aeiou" and bool(marks)
        whole = unicodedata.normalize("NFC", text[place:behind])
        written.append(plain + ("'" if vowel and last else "") if letter.isalpha() else whole)
    return written


def typo(text: str, rng: random.Random) -> list[str]:
    """One letter of a long word becomes a key beside it; first letters and digits stay.

    Example:
        >>> "".join(typo("vorrei un rimborso", random.Random(1)))
        'voreei un rimborso'
    """
    places = [
        place
        for word in re.finditer(r"[^\W\d_]+", text)
        if len(word.group()) >= LONG
        for place in range(word.start() + 1, word.end())
        if text[place].lower() in BESIDE
    ]
    written = list(text)
    if places:
        place = rng.choice(places)
        key = rng.choice(BESIDE[text[place].lower()])
        written[place] = key.upper() if text[place].isupper() else key
    return written


def _beside() -> dict[str, str]:
    beside: dict[str, str] = {}
    for number, row in enumerate(KEY_ROWS):
        for place, key in enumerate(row):
            near = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
            above = KEY_ROWS[number - 1][place : place + 2] if number else ""
            below = (
                KEY_ROWS[number + 1][max(0, place - 1) : place + 1]
                if number + 1 < len(KEY_ROWS)
                else ""
            )
            beside[key] = near + above + below
    return beside


BESIDE = _beside()
SURFACES: Mapping[str, Callable[[str, random.Random], list[str]]] = {
    "lowercase": lowercase,
    "no_punctuation": no_punctuation,
    "typo": typo,
    "no_accents": no_accents,
}
