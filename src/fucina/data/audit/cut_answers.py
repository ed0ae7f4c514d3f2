"""Answers that stop before their end: in a sentence, a bracket or a word, or at a fixed length."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from fucina.data.audit.subject import Answer, Subject, answers, prose, shown
from fucina.records import Finding

__all__ = ["check", "closed", "looks_cut", "mostly_closed", "open_end"]

MOSTLY = 0.75  # of the answers end with a closing mark: one without it is odd
RARE = 0.25  # more answers than this with the same open end: it is how these texts are written
FEW = 20  # answers, below which nothing is usual
SHORT = 4  # words: shorter answers are names and numbers
SHORT_SHARE = 0.005  # of the answers; where fewer are short and whole, a word alone is odd
WORTH_SAYING = 0.002  # of the answers; fewer are slips of the pen
PILE = 5  # answers of one length at the top; less is chance
PILE_LENGTH = {"characters": 60, "words": 12, "tokens": 16}  # shorter answers are alike anyway
SHOWN_END = 70  # characters

BRACKETS = {")": "(", "]": "[", "}": "{"}
# Smileys, and the numbers of lists.
LONE_BRACKET = re.compile(r"(?<!\S)[:;]-?[()\[\]]+(?!\S)|^\s*\w{1,3}\)", re.MULTILINE)
SIGNED = re.compile(
    r"(?:(?:^|\s)[-–—~]\s?|\b(?i:sincerely|regards|love|yours|wishes|truly|faithfully|gratitude|hope|"
    r"anticipation|saluti|affetto|abbraccio|fede|tuo|tua),?\s+)(?=[A-ZÀ-Þ\[(])[^!?]{0,40}$"
)
LIST_ITEM = re.compile(r"\s*(?:[-*•+–—]|\(?\w{1,3}[.)])\s")
# Words that no sentence ends with.
_OPEN = (
    "the an and or of because than my your our their its every into onto upon whose "  # en
    "il lo gli un uno una di da del dello della dei degli delle al allo alla ai agli alle dal "
    "dalla dai dalle nel nello nella nei nelle sul sulla sui sulle con per tra fra ed ma oppure "
    "che mio tuo suo nostro vostro cui perché mentre quando se come "  # it
    "le les des du et avec el los las por para und oder der das ein eine mit für"
)
OPEN_WORDS = frozenset(_OPEN.split())
# Words that a sentence may end with, but hardly one without a mark among others that have one.
_LINKING = (
    "a to with for is are was were at from in on by that which who these those i you we they he "
    "she can will would should has have had be been very also as if so this it "  # en
    "a e o i è sono ha hanno era erano non si ci mi ti in su più anche molto sia"  # it
)
LINKING_WORDS = OPEN_WORDS | frozenset(_LINKING.split())
ELISION = re.compile(
    r"(?:^|\s)(?:l|un|d|c|s|m|t|v|n|all|dall|dell|nell|sull|coll|quell|quest|bell|sant|com|dov|cos)['’]$",
    re.IGNORECASE,
)
QUERY = re.compile(r"\s*(?:select|with|insert|update|delete|create|alter)\s", re.IGNORECASE)
_QUERY = (
    "select from where and or join inner outer left on by group order having union intersect "
    "except limit in not like between values set into distinct as when then else case"
)
QUERY_WORDS = frozenset(_QUERY.split())
DANGLING = re.compile(r"(?:,|\(|\[|\{|=|&&|\\|[–—]|(?<!\|)\|)$")


def check(subject: Subject) -> list[Finding]:
    """Look at the ends of all answers, and at the longest of them."""
    found = []
    for rows in subject.sides:
        said = [a for a in answers(rows) if a.text.strip()]
        if len(said) >= FEW:
            found += _open(rows.name, said) + _piled(rows.name, said, subject)
    return found


def closed(text: str) -> bool:
    """Whether a text ends with a mark that closes something, or with a sign that is no letter.

    Example:
        >>> closed('Disse: "va bene."'), closed("**Fine**"), closed("Il mare è"), closed("e poi,")
        (True, True, False, False)
    """
    end = text.rstrip()
    if not end or ELISION.search(end):
        return not end
    last = end[-1]
    return not (last.isalnum() or last in ",:-–—&+/=<#@$%^([{|\\“«")


def open_end(text: str) -> str:
    """What is open at the end of a text, in words; empty where nothing surely is.

    Example:
        >>> open_end("It is on the"), open_end("f(x, y"), open_end("Va bene")
        ("ends with 'the'", 'an open (', '')
    """
    end = text.rstrip()
    if len(re.findall(r"^\s*```", end, re.MULTILINE)) % 2:
        return "an open code block"
    if end[-1:] in ".!?…。！？":
        return ""
    words = re.findall(r"(?<!\w)[^\W\d_]+['’]?", end[-40:])
    last = words[-1] if words and end.endswith(words[-1]) else ""
    if QUERY.match(end):
        if last.casefold() in QUERY_WORDS:
            return f"ends with {last!r}"
    elif prose(end) and (ELISION.search(end) or last in OPEN_WORDS):
        return f"ends with {last!r}"
    table = end.rpartition("\n")[2].lstrip().startswith("|")
    if DANGLING.search(end) and len(end) > 1 and not table:
        return f"ends with {end[-1]!r}"
    plain = re.sub(r"\\.", "", end)
    bracket = _open_bracket(plain if prose(end) else re.sub(r"'[^']*'|\"[^\"]*\"", "", plain))
    if bracket:
        return f"an open {bracket}"
    if plain.count('"') % 2 and not (prose(end) and closed(end)) and not re.search(r'\d"', plain):
        return 'an open "'
    if plain.rfind("“") > plain.rfind("”") or plain.rfind("«") > plain.rfind("»"):
        return "an open quote"
    return "an open '" if QUERY.match(end) and plain.count("'") % 2 else ""


def mostly_closed(texts: Sequence[str]) -> bool:
    """Whether these texts end with a closing mark, so that one without it is odd."""
    return len(texts) >= FEW and sum(map(closed, texts)) >= MOSTLY * len(texts)


def looks_cut(text: str, *, mostly_closed: bool) -> str:
    """Why one text looks cut, in words; empty where it may be whole.

    Args:
        text: What is said.
        mostly_closed: The texts that it is one of end with a closing mark.

    Example:
        >>> looks_cut("Il faro si accende quando cala il", mostly_closed=False)
        "ends with 'il'"
        >>> looks_cut("Chi deve uscire stamattina aspetti la sera", mostly_closed=True)
        'stops without a closing mark'
    """
    why = open_end(text)
    if why or not mostly_closed or closed(text) or len(text.split()) < SHORT:
        return why
    return _unclosed(text.strip(), alone=None)


def _open_bracket(text: str) -> str:
    stack: list[str] = []
    for sign in LONE_BRACKET.sub("", text):
        if sign in "([{":
            stack.append(sign)
        elif sign in BRACKETS and stack and stack[-1] == BRACKETS[sign]:
            stack.pop()
    return stack[-1] if stack else ""


def _open(name: str, said: Sequence[Answer]) -> list[Finding]:
    reasons = [open_end(answer.text) for answer in said]
    counts = Counter(_kind(reason) for reason in reasons if reason)
    usual = {kind for kind, count in counts.items() if count > RARE * len(said)}
    reasons = ["" if _kind(reason) in usual else reason for reason in reasons]
    ends = np.array([closed(answer.text) for answer in said])
    if ends.mean() >= MOSTLY:
        unclosed = [int(i) for i in np.flatnonzero(~ends) if not reasons[i]]
        short = np.array([len(answer.text.split()) < SHORT for answer in said])
        whole = short & ends
        odd = whole.mean() < SHORT_SHARE or whole.sum() >= MOSTLY * short.sum()
        for i in unclosed:
            reasons[i] = _unclosed(said[i].text.strip(), alone=odd if short[i] else None)
    # The surest first: a word that cannot end a sentence, then what has merely no mark.
    order = sorted((i for i, why in enumerate(reasons) if why), key=lambda i: "stops" in reasons[i])
    if not order:
        return []
    kinds = Counter(_kind(reasons[i]) for i in order).most_common()
    listed = ", ".join(f"{kind} ({count:,})" for kind, count in kinds)
    usually = f" where {ends.mean():.0%} end with a closing mark" if ends.mean() >= MOSTLY else ""
    origins = tuple(said[i].origin for i in order)
    return [
        Finding(
            "cut_answer",
            "warning" if len(order) > WORTH_SAYING * len(said) else "note",
            f"{len(order):,} of {len(said):,} answers of {name} look cut{usually}: {listed} "
            f"({shown(origins)}).",
            "Complete them or leave them out: a model that learns to stop anywhere will.",
            origins,
            tuple(f"{said[i].where}{reasons[i]}: {_end(said[i].text)}" for i in order),
        )
    ]  # fmt: skip


def _kind(reason: str) -> str:
    """The reason without the word that shows it, to be counted."""
    if not reason.startswith("ends with"):
        return reason
    return "with a word that needs another" if reason[-2].isalpha() else f"with {reason[10:]}"


def _end(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_END else f"…{line[-SHOWN_END:]}"


def _unclosed(text: str, *, alone: bool | None) -> str:
    """Why a text without a mark among texts that have one looks cut; empty where it may be whole.

    Args:
        text: What is said.
        alone: Of a text of few words: whether such are odd here; None of longer ones.
    """
    last = text.split()[-1]
    acronym = last.isupper() and len(last) > 1  # AI
    if last.casefold() in LINKING_WORDS and not acronym and (prose(text) or last == text):
        return f"ends with {last!r}"
    # A word alone, or words that all begin with a capital, are a name.
    phrase = alone and " " in text and text.replace(" ", "").isalpha() and not text.istitle()
    return "stops without a closing mark" if phrase or (alone is not False and _stops(text)) else ""


def _stops(text: str) -> bool:
    """Whether a text without a closing mark is prose that should have one."""
    lines = [line for line in text.rstrip().splitlines() if line.strip()]
    *before, last = lines
    word = last.split()[-1]
    if not word[-1].isalpha() and not word[-1].isdigit() and word[-1] not in ",:-–—":
        return False  # an emoji, a sign
    if re.search(r"[#@/\\_=<>|{}$]|\.\w", word) or not _latin(word):
        return False  # a hashtag, an address, a name of code; scripts that write otherwise
    if LIST_ITEM.match(last) or "|" in last:
        items = [line for line in before if LIST_ITEM.match(line)][-2:]
        return len(items) == 2 and all(closed(item) for item in items)
    if SIGNED.search(" ".join(text[-80:].split())):
        return False
    if before and before[-1].rstrip().endswith(","):
        return len(last.split()) > 5  # a name below a letter; else a verse
    if len(before) >= 2 and sum(not closed(line) for line in before) * 2 >= len(before):
        return False  # verses, code, a table
    names = [w for w in last.split() if w[:1].isupper() or w[:1].isdigit()]
    return len(last.split()) > 10 or len(names) < 0.6 * len(last.split())  # else a title


def _latin(word: str) -> bool:
    return all(ord(letter) < 0x2000 for letter in word)


def _piled(name: str, said: Sequence[Answer], subject: Subject) -> list[Finding]:
    """Many answers of exactly the greatest length: something cut them there."""
    distinct = list({answer.text: answer for answer in said}.values())
    texts = [answer.text.strip() for answer in distinct]
    ends = np.array([closed(text) for text in texts])
    counters: dict[str, Callable[[], np.ndarray]] = {
        "characters": lambda: np.array([len(text) for text in texts]),
        "words": lambda: np.array([len(text.split()) for text in texts]),
    }
    if subject.count_tokens is not None:
        count = subject.count_tokens
        counters["tokens"] = lambda: count(texts)
    for unit, lengths in ((unit, count()) for unit, count in counters.items()):
        longest = int(lengths.max())
        near = unit == "characters"  # a cut at a space is lost when a line is stripped
        top = np.flatnonzero(lengths >= longest - (2 if near else 0))
        below = int(((lengths >= 0.8 * longest) & (lengths < longest - (2 if near else 0))).sum())
        usual = below / max(0.2 * longest, 1) * (3 if near else 1)
        if longest < PILE_LENGTH[unit] or len(top) < max(PILE, 0.005 * len(said), 6 * usual):
            continue
        rest = np.delete(ends, top)
        # All of one length is a form; and what ends with a mark, as the others do, is whole.
        if len(rest) < 0.1 * len(ends) or (rest.mean() >= MOSTLY and ends[top].mean() >= 0.5):
            continue
        origins = tuple(distinct[i].origin for i in top)
        return [
            Finding(
                "same_length", "warning",
                f"{len(top):,} of {len(said):,} answers of {name} are {longest:,} {unit} long and "
                f"none is longer, as if all had been cut there ({shown(origins)}).",
                "Get them again with a higher limit, or leave them out.",
                origins, tuple(f"{distinct[i].where}{_end(distinct[i].text)}" for i in top),
            )
        ]  # fmt: skip
    return []
