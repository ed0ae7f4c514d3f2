"""Causes between training and use: leaks, other wrapping, other texts, other shares of labels."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from fucina.diagnose.case import Case
from fucina.diagnose.causes.weights import points
from fucina.records import Cause

__all__ = [
    "answer_in_text",
    "distribution_shift",
    "label_shift",
    "leakage",
    "template_mismatch",
    "wrapping",
]

SHOWN = 3
COMMON = 0.8  # share of rows that must have a wrapping
SELDOM = 0.2  # share of rows of the other side that may have it
UNEVEN = 5.0  # times as many training rows of one label as of another
PLAIN = 0.95  # area under the curve
TELLS = 0.96  # share of rows that single words must tell


def leakage(case: Case) -> Cause | None:
    """Test rows that training saw: the score is too good to be true."""
    known = {_plain(prompt): i for i, prompt in enumerate(case.development.prompts)}
    seen = np.array([_plain(prompt) in known for prompt in case.test.prompts])
    share = float(seen.mean())
    if share < 0.02:
        return None
    right = np.array(case.test.answers) == np.array(case.test.targets)
    fresh = float(right[~seen].mean()) if (~seen).any() else case.held_out_accuracy
    return Cause(
        "leakage",
        float(np.clip(0.55 + 2.5 * share, 0, 0.98)),
        f"{int(seen.sum())} of {len(seen)} test rows ({share:.0%}) are training rows too: "
        f"the score of {case.test_accuracy:.1%} is too good to be true.",
        (f"right on rows that training saw: {right[seen].mean():.1%}, on the others {fresh:.1%}",
         *(case.test.prompts[row] for row in np.flatnonzero(seen)[:SHOWN])),
        "Remove these rows from train or test (data.allow_duplicates=false shows them all), and "
        "keep the rows of one source in one group.",
        f"an honest score, about {points(case.test_accuracy - fresh)} lower.",
        repairs={
            case.development.examples[known[_plain(prompt)]].origin: None
            for prompt, leaked in zip(case.test.prompts, seen, strict=True)
            if leaked
        },
    )  # fmt: skip


def answer_in_text(case: Case) -> Cause | None:
    """Single words tell the label of nearly every row: the answer stands in the text."""
    if case.held_out_accuracy < 0.9:
        return None
    words: dict[str, Counter[str]] = {}
    each = []
    for example in case.development.examples:
        own = set(re.findall(r"\S+", example.prompt.casefold()))
        each.append(own)
        for word in own:
            words.setdefault(word, Counter())[example.target] += 1
    size = Counter(case.development.targets)
    # A word that every row of a label has, and hardly a row of another.
    tell: dict[str, str] = {}
    for word, seen in words.items():
        label, count = seen.most_common(1)[0]
        if count >= TELLS * size[label] and count >= TELLS * sum(seen.values()) and count > 2:
            tell.setdefault(label, word)
    told = sum(
        tell.get(example.target) in own
        for example, own in zip(case.development.examples, each, strict=True)
    ) / max(1, len(each))
    if told < TELLS:
        return None
    return Cause(
        "answer_in_text",
        0.96,
        f"The answer stands in the text: {told:.0%} of the rows hold a word that only their label "
        "has. The score says nothing about texts without it.",
        tuple(f"{label}: {word!r}" for label, word in list(tell.items())[:SHOWN]),
        "Remove from the texts what was added after labelling (ids, tags, the label itself).",
        "an honest score; it will be lower.",
    )


def template_mismatch(case: Case) -> Cause | None:
    """Nearly all texts of one side begin or end with words that the other side lacks."""
    learned, used = case.development.prompts, list(case.test.prompts)
    wrapped = wrapping(learned, used)
    if wrapped is None:
        return None
    name, where, found, elsewhere = wrapped
    other = "test" if name == "training" else "training"
    lost = max(0.0, case.held_out_accuracy - case.test_accuracy)
    return Cause(
        "template_mismatch",
        0.93,
        f"At least {COMMON:.0%} of the {name} texts {where} with {found.strip()!r}, of the {other} "
        f"texts {elsewhere:.0%} do: the model is used with another wrapping than it learned.",
        (f"training: {learned[0]}", f"test: {used[0]}"),
        "Wrap both the same way, or neither: the text alone is enough here.",
        f"about {points(lost)}, what held-out rows are ahead of test rows.",
        repairs=_rewrapped(case, found, where, strip=name == "training"),
    )


def wrapping(learned: Sequence[str], used: Sequence[str]) -> tuple[str, str, str, float] | None:
    """Words that nearly all texts of one side begin or end with, and few of the other.

    Returns:
        The side (`training` or `test`), `begin` or `end`, the words, and the share of the other
        side that has them; None where both are alike.

    Example:
        >>> wrapping(["Classify: ciao", "Classify: addio"], ["ciao", "addio"])
        ('training', 'begin', 'Classify: ', 0.0)
    """
    for name, texts, others in (("training", learned, used), ("test", used, learned)):
        for where, found in (("begin", _prefix(texts)), ("end", _suffix(texts))):
            match = str.startswith if where == "begin" else str.endswith
            elsewhere = float(np.mean([match(text, found) for text in others]))
            if found and elsewhere <= SELDOM:
                return name, where, found, elsewhere
    return None


def _rewrapped(case: Case, found: str, where: str, *, strip: bool) -> dict[str, str | None]:
    """Training texts without the wrapping that use lacks, or with the one that use has."""
    repairs: dict[str, str | None] = {}
    for example in case.development.examples:
        if strip:
            cut = str.removeprefix if where == "begin" else str.removesuffix
            repairs[example.origin] = cut(example.prompt, found).strip()
        else:
            text = found + example.prompt if where == "begin" else example.prompt + found
            repairs[example.origin] = text.strip()
    return repairs


def distribution_shift(case: Case) -> Cause | None:
    """Test texts can be told from training texts, and the model is worse on them."""
    auc = case.reference.domain_auc
    lost = case.held_out_accuracy - case.test_accuracy
    if auc < 0.75 or case.finding("leak") is not None:
        return None
    strength = np.clip((auc - 0.7) / 0.25, 0, 1)
    # Texts that can be told apart without fail are a shift even where the score does not show it.
    least = 0.55 if auc > PLAIN else 0.2
    weight = strength * np.clip(0.35 + 3.0 * lost, least, 0.92)
    far = np.argsort(case.reference.likeness[:, 0])[:SHOWN]
    return Cause(
        "distribution_shift",
        float(weight),
        "Test texts are unlike training texts: a linear model tells them apart with an AUC of "
        f"{auc:.2f} (0.5 is not at all), and the model is right on {case.held_out_accuracy:.1%} of "
        f"the held-out rows but {case.test_accuracy:.1%} of the test rows.",
        tuple(f"farthest from training: {case.test.prompts[row]}" for row in far),
        "Label rows like those of the test (source, time, length, language) and train on both.",
        f"up to {points(max(0.0, lost))}.",
    )


def label_shift(case: Case) -> Cause | None:
    """The labels have other shares in the test than in training."""
    learned, asked = Counter(case.development.targets), Counter(case.test.targets)
    total, rows = sum(learned.values()), sum(asked.values())
    gaps = {label: asked[label] / rows - learned[label] / total for label in learned}
    distance = sum(map(abs, gaps.values())) / 2
    noise = sum((asked[label] / rows / rows) ** 0.5 for label in learned) / 2
    if distance < 0.25 + noise:
        return None
    most = max(gaps, key=lambda label: abs(gaps[label]))
    # Uneven training rows beside an even test are an imbalance, which has its own cause.
    uneven = max(learned.values()) >= UNEVEN * min(learned.values())
    return Cause(
        "label_shift",
        float(np.clip(0.25 + 0.5 * distance, 0, 0.55)) * (0.5 if uneven else 1.0),
        f"The labels have other shares in the test than in training ({distance:.0%} of the rows "
        "would have to change label).",
        (f"{most}: {learned[most] / total:.0%} of training, {asked[most] / rows:.0%} of the test",),
        "Give training the shares of use and read balanced accuracy."
        if case.by_words
        else "Give training the shares of use, or set loss.class_weights=balanced and read "
        "balanced accuracy.",
        "usually 1 to 5 points.",
        {} if case.by_words else {"loss.class_weights": "balanced"},
    )


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def _prefix(texts: Sequence[str]) -> str:
    """The longest run of whole words that at least COMMON of the texts begin with."""
    found = ""
    words = Counter(text.split(" ", 1)[0] + " " for text in texts if " " in text)
    while words:
        word, count = words.most_common(1)[0]
        if count < COMMON * len(texts):
            break
        found += word
        inside = [text[len(found) :] for text in texts if text.startswith(found)]
        words = Counter(text.split(" ", 1)[0] + " " for text in inside if " " in text)
    return found


def _suffix(texts: Sequence[str]) -> str:
    return _prefix([text[::-1] for text in texts])[::-1]
