"""Porter's stemmer of English with the departures that NLTK made and `rouge-score` stems with.

Sources: Porter, 1980, https://tartarus.org/martin/PorterStemmer/def.txt; the departures are the
mode NLTK_EXTENSIONS of https://www.nltk.org/api/nltk.stem.porter.html
"""

from collections.abc import Callable, Iterable
from functools import cache

__all__ = ["stem"]

IRREGULAR = {
    "skies": "sky", "sky": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
    "innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing",
    "cannings": "canning", "canning": "canning", "howe": "howe", "proceed": "proceed",
    "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip
# Ending to what stands for it; the first that a word has decides, even where its stem is too short.
STEP_2 = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"),
    ("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"),
    ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"),
    ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"),
    ("fulli", "ful"), ("logi", "log"),
)  # fmt: skip
STEP_3 = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""),
    ("ness", ""),
)  # fmt: skip
STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
)  # fmt: skip


@cache
def stem(word: str) -> str:
    """The stem of a word in small letters; of three letters or more.

    Example:
        >>> [stem(word) for word in ("meetings", "agreed", "hopping", "generalizations", "enjoy")]
        ['meet', 'agre', 'hop', 'gener', 'enjoy']
    """
    if word in IRREGULAR or len(word) < 3:
        return IRREGULAR.get(word, word)
    word = _past(_plural(word))
    if word.endswith("y") and len(word) > 2 and _kinds(word[:-1])[-1] == "c":
        word = f"{word[:-1]}i"
    word = _adverb(word)
    word = _swap(word, STEP_3, lambda rest: _measure(rest) > 0)
    word = _swap(word, ((ending, "") for ending in STEP_4), lambda rest: _measure(rest) > 1)
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _short(word[:-1])):
            word = word[:-1]
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _plural(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}{'ie' if len(word) == 4 else 'i'}"
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past(word: str) -> str:
    """The word without -ed and -ing, with what they took from its end."""
    if word.endswith("ied"):
        return f"{word[:-3]}{'ie' if len(word) == 4 else 'i'}"
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        rest = word.removesuffix(ending)
        if rest != word and "v" in _kinds(rest):
            if rest.endswith(("at", "bl", "iz")):
                return f"{rest}e"
            if rest[-1] == rest[-2:-1] and _kinds(rest)[-1] == "c":
                return rest if rest[-1] in "lsz" else rest[:-1]
            return f"{rest}e" if _measure(rest) == 1 and _short(rest) else rest
    return word


def _adverb(word: str) -> str:
    while word.endswith("alli") and _measure(word[:-4]) > 0:
        word = word[:-2]
    if word.endswith("logi"):  # its l counts as part of the stem
        return word[:-1] if _measure(word[:-3]) > 0 else word
    return _swap(word, STEP_2, lambda rest: _measure(rest) > 0)


def _swap(word: str, endings: Iterable[tuple[str, str]], long_enough: Callable[[str], bool]) -> str:
    for ending, other in endings:
        if word.endswith(ending):
            rest = word.removesuffix(ending)
            able = long_enough(rest) and (ending != "ion" or rest[-1] in "st")
            return rest + other if able else word
    return word


def _kinds(word: str) -> str:
    """A c for each consonant and a v for each vowel; y is one after a consonant."""
    kinds = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and kinds.endswith("c"))
        kinds += "v" if vowel else "c"
    return kinds


def _measure(word: str) -> int:
    """How often consonants follow vowels."""
    return _kinds(word).count("vc")


def _short(word: str) -> bool:
    """Whether a word ends as hop does; or is one vowel and one consonant."""
    kinds = _kinds(word)
    return kinds == "vc" or (kinds.endswith("cvc") and word[-1] not in "wxy")
