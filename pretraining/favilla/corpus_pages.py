"""The rules that clean documentation out of which names, tables and code were stripped."""

import re
from collections import Counter

from corpus_cleaning import is_foreign, language, mend, sentences

__all__ = ["clean_documentation", "has_hole"]

PREPOSITION = (
    r"(?:di|da|in|con|per|su|tra|fra|a|del|dello|della|dei|degli|delle|al|allo|alla|ai|agli|alle"
    r"|dal|dallo|dalla|dai|dalle|nel|nello|nella|nei|nelle|sul|sullo|sulla|sui|sulle)"
)
# Where a product's name was a macro of the page, the text has a hole: "un'istanza di." A sentence
# with a hole teaches what no Italian writes, so it goes.
HOLES = re.compile(
    rf"\b{PREPOSITION}(?:\s*[.,;)](?!\w)|$|\s+(?:(?:e|ed|o)\b(?!\s+(?:{PREPOSITION}|verso|senza|fuori"
    r"|oltre|dopo|prima)\b)|(?:è|sono|può|possono|viene|vengono|verrà|utilizza|supporta"
    r"|consente)\b))"
    r"|\b(?:il|lo|gli|un|e|o|tramite)(?:\s*[.,;)](?!\w)|$)"
    r"|\b(?:il|un)\s+(?:è|viene|può|verrà|e|o|ed)\b"
    r"|\b(?:istanz[ae]|version[ei]|edizion[ei]|databas[ei])\s+di\s+(?:come|che|con|non|è|in|a)\b"
    r"|\b(?:[Ii]n|[Dd]i|[Dd]a|[Pp]er|[Cc]on)(?:è|fare|aprire|connettersi|scegliere|espandere"
    r"|eliminare|eseguire|selezionare|per|immettere|creare|esempio)\b|\b(?:ine|dae|die)\b"
    r"|(?:^|\s)[®™]|://[\s/.]|(?:^|\s)\(\s*[,;e]?\s*\)|\\\s|\s[,;]\s|'\s*[.,;)]"
    r"|\b(è|di|la|il|in|per|un|a|che) \1\b"
)
PAIR = re.compile(rf"\b({PREPOSITION})\s+(?={PREPOSITION}\b)(\w+)", re.IGNORECASE)
PAIRS = {"tra di", "su di", "al di", "di per", "per di", "fra di", "dal di", "di su", "nel per"}
APPLIES = re.compile(r"(?:si applica a|applies to|vale per)\s*:", re.IGNORECASE)
METADATA = re.compile(r"(?:title|description|author|uid|ms\.[\w.]+|monikerRange)\s*:")
SEE = re.compile(
    r"(?:\(?(?:per|ulteriori|altre|maggiori) (?:(?:ulteriori|altre|maggiori) )?"
    r"(?:informazioni|dettagli)\b.*(?:ved|consult|fare riferimento|visit|legg|in |su ).*"
    r"|\(?(?:vedere|vedi|consultare|vedere anche)\b.*)",
    re.IGNORECASE,
)
DEBRIS = re.compile(
    r":::.*?:::|!?\[[^\]\n]*\]\([^)\n]*\)|\]\s?\([^)\n]*\)|\[!\w+\]|</?(?:br|p|a|b|i|em|strong|div"
    r"|span|img|table|t[rdh]|ul|li|sup|sub|code)\b[^>\n]*>|\*\*+|^\s*#+ |^\s*\[\d+\]\s|^\s*[*•-] "
)
JOINED = re.compile(
    r"\b(oggetto|metodo|classe|proprietà|elemento|parametro|interfaccia|attributo|funzione|tipo"
    r"|evento|istruzione|comando|pulsante|il|la|di|del|della|un)(?=[A-Z][a-z])"
)
DOTTED = re.compile(r"(?<=[a-zàèéìòù])\.(?=NET\b)|(?<=estensione)\.(?=\w)")
# "Scegli l'icona immetti Clienti": the picture of a magnifying glass is gone, its text is not.
PICTURE = re.compile(r"\bSceg(?:li|liere) (?:la|l'icona|l')[ ,]*i(?=mmett(?:i|ere)\b)")
EXTENSION = re.compile(r"(?<=\w)\. (?=(?:cs|vb|xml|xaml|txt|dll|exe|js|json|config|html)\b)")
ELISION = re.compile(r"\b([Ll]|[Uu]n|[Dd]|[DdNnSsAa](?:e|u|a)?ll|[Qq]uest)'\s+(?=\w)")
ENOUGH = 0.4  # of a page's characters that must be left, and that must be in sentences


def has_hole(sentence: str) -> bool:
    """Say whether a name is missing from an Italian sentence.

    Example:
        >>> has_hole("Connettersi a un'istanza di."), has_hole("Il server risponde al client.")
        (True, False)
    """
    if not sentence or sentence[0].islower() or HOLES.search(sentence):
        return True
    return any(
        f"{one} {other}".lower() not in PAIRS
        for one, other in (found.groups() for found in PAIR.finditer(sentence))
    )


def clean_documentation(text: str, expected: str, dropped: Counter[str]) -> str:
    """A page of documentation as prose, or nothing where too little of it is prose.

    Args:
        text: The page, paragraphs parted by an empty line.
        expected: The language it should be in.
        dropped: Counts what each rule took; added to.

    Returns:
        The page, or an empty text.
    """
    blocks: list[list[str]] = []
    for block in mend(text).split("\n\n"):
        lines = [kept for raw in block.split("\n") if (kept := _page_line(raw, expected, dropped))]
        lines = [line for place, line in enumerate(lines) if place == 0 or line != lines[place - 1]]
        if lines:
            blocks.append(lines)
    blocks = _without_bare_headings(blocks, dropped)
    page = "\n\n".join("\n".join(lines) for lines in blocks)
    prose = sum(len(line) for lines in blocks for line in lines if line[-1] in ".!?:;")
    if len(page) < 200:
        dropped["pages too short"] += 1
    elif prose < ENOUGH * len(page) or len(page) < ENOUGH * len(text):
        dropped["pages that are mostly not prose or have too many holes"] += 1
    elif language(page[:3000])[0] != expected:
        dropped["pages in another language"] += 1
    else:
        return page
    return ""


def _page_line(raw: str, expected: str, dropped: Counter[str]) -> str:
    """A line without debris and broken sentences; empty where nothing is left."""
    if rule := _page_rule(raw):
        dropped[rule] += bool(raw.strip())
        return ""
    line = DEBRIS.sub("", raw)
    line = ELISION.sub(r"\1'", DOTTED.sub(" .", JOINED.sub(r"\1 ", line)))
    line = EXTENSION.sub(".", PICTURE.sub("I", line))
    if line != raw:
        dropped["lines mended (markup, joined words)"] += 1
    kept = []
    for sentence in sentences(" ".join(line.split())):
        if SEE.fullmatch(sentence):
            dropped["sentences that only point elsewhere"] += 1
        elif has_hole(sentence):
            dropped["sentences with a hole where a name was"] += 1
        else:
            kept.append(re.sub("[®™]", "", sentence))
    line = " ".join(kept)
    if is_foreign(line, expected, sure=0.6):
        dropped["lines in another language"] += 1
        return ""
    return line


def _page_rule(line: str) -> str:
    """The name of the rule that drops a whole line, or nothing."""
    if APPLIES.match(line) or METADATA.match(line):
        return "lines of metadata (applies to, title:)"
    if line.startswith("!") or "|" in line:
        return "image captions and table rows"
    letters = sum(map(str.isalpha, line))
    signs = len(line) - line.count(" ") - letters
    code = bool(re.search(r"[_@/\\=.]|[a-z][A-Z]", line)) and " " not in line
    if code or signs > 0.25 * (letters + signs) or re.search(r"[{}=<>]{2}|;$|\w\(\w*\)\.\w", line):
        return "lines of code, ids and signs"
    return ""


def _without_bare_headings(blocks: list[list[str]], dropped: Counter[str]) -> list[list[str]]:
    """Drop headings over nothing, whose table or code was stripped, and a last line that opens."""
    kept: list[list[str]] = []
    for block in reversed(blocks):
        bare = len(block) == 1 and block[0][-1] not in ".!?:;" and len(block[0]) < 120
        opens = block[-1][-1] == ":"
        below = kept[-1] if kept else None
        over_heading = below is None or (len(below) == 1 and below[0][-1] not in ".!?:;")
        if (bare and over_heading) or (opens and below is None):
            dropped["headings over nothing"] += 1
        else:
            kept.append(block)
    return kept[::-1]
