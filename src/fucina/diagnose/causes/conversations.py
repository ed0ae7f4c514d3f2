"""Causes in conversations: other templates than at use, too few of them, leaks, other topics."""

from collections import Counter
from dataclasses import replace

import numpy as np

from fucina.diagnose.causes.answers import TOLD_APART, TRIED
from fucina.diagnose.causes.mismatch import wrapping
from fucina.diagnose.causes.weights import off
from fucina.diagnose.text_case import TextCase
from fucina.diagnose.training import BLANK
from fucina.errors import FucinaError
from fucina.records import Cause, Example

__all__ = [
    "base_untrained",
    "leaked",
    "question_mismatch",
    "scarce_test",
    "shifted",
    "system_mismatch",
    "template_unlike_base",
    "too_few_conversations",
]

SHOWN = 3
ENOUGH = 200  # conversations
SCARCE = 50
WIDE, WIDE_SHARE = 0.15, 0.2  # nats a token, and share of the loss: half an interval at most


def system_mismatch(case: TextCase) -> Cause | None:
    """Training rows have the system say one thing, test rows another or nothing."""
    own = case.recipe.chat.system or ""
    learned, used = _systems(case.development.examples, own), _systems(case.rows.examples, own)
    (taught, rows), (given, asked) = learned.most_common(1)[0], used.most_common(1)[0]
    shares = rows / len(case.development), asked / len(case.rows)
    if min(shares) < 0.8 or taught == given:
        return None
    # A recipe can only fill in what rows leave out.
    change = {"chat.system": taught or given} if not (own or (taught and given)) else {}
    shown = [
        f"{side}: {' '.join(text.split())[:80]!r}"
        for side, text in (("training", taught), ("test", given))
    ]
    return Cause(
        "template_mismatch", 0.93,
        f"The system says {_quoted(taught)} in {shares[0]:.0%} of the training conversations and "
        f"{_quoted(given)} in {shares[1]:.0%} of the test: the model is used with another "
        "beginning than it learned.",
        tuple(shown),
        "Let the system say the same in both: "
        + ("set chat.system to these words." if change else "write it in the rows."),
        _behind(case),
        change,
    )  # fmt: skip


def _behind(case: TextCase) -> str:
    """What a mismatch may cost, as far as the scores show it."""
    behind = case.test_loss - case.held_out_loss
    if behind <= 0:
        return f"{TRIED} The test is no worse than held-out rows ({case.test_loss:.2f} nats)."
    return f"up to {behind:.2f} nats a token, what the test is behind held-out rows."


def _quoted(text: str) -> str:
    return repr(text[:60] + ("…" if len(text) > 60 else "")) if text else "nothing"


def _systems(rows: tuple[Example, ...], own: str) -> Counter[str]:
    """What the system says in each row, `own` where the row does not say it."""
    return Counter(
        row.messages[0].content if row.messages and row.messages[0].role == "system" else own
        for row in rows
    )


def question_mismatch(case: TextCase) -> Cause | None:
    """Nearly all questions of one side begin or end with words that the other side lacks."""
    found = wrapping(_asked(case.development.examples), _asked(case.rows.examples))
    if found is None:
        return None
    side, where, words, elsewhere = found
    return Cause(
        "template_mismatch", 0.93,
        f"Most questions of the {side} {where} with {words.strip()!r}, elsewhere {elsewhere:.0%} "
        "do: the model is used with another wrapping than it learned.",
        (f"training: {case.development.prompts[0]}", f"test: {case.test.prompts[0]}"),
        "Wrap both the same way, or neither.",
        _behind(case),
    )  # fmt: skip


def _asked(rows: tuple[Example, ...]) -> list[str]:
    """The last question of each row."""
    questions = []
    for row in rows:
        said = [m.content for m in row.messages if m.role == "user"]
        questions.append(said[-1] if said else row.prompt)
    return questions


def template_unlike_base(case: TextCase) -> Cause | None:
    """The base was taught another template than the one it is trained with."""
    own = getattr(case.template.tokenizer, "chat_template", None)
    if not isinstance(own, str) or own == case.template.source:
        return None
    row = case.development.examples[0]
    try:
        usual = replace(case.template, source=own).render(row).text
    except FucinaError:
        return None  # the base's own template cannot write these turns
    if usual == case.template.render(row).text:
        return None
    known = case.base_loss
    return Cause(
        "template_unlike_base", 0.5,
        "The tokenizer of the base brings a chat template of its own, and chat.template="
        f"{case.recipe.chat.template} writes conversations otherwise.",
        () if known is None else
        (f"the base alone has a loss of {known:.2f} nats a token with this template",),
        "Set chat.template=auto.",
        TRIED,
        {"chat.template": "auto"},
    )  # fmt: skip


def base_untrained(case: TextCase) -> Cause | None:
    """The base finds every token about as likely: it knows no language yet."""
    known = case.base_loss
    start = case.training.curves.held[0] if known is None else known
    if start < BLANK * case.training.ignorance:
        return None
    return Cause(
        "base_unsuited", 0.45,
        f"The base alone has a loss of {start:.2f} nats a token, where knowing nothing is "
        f"{case.training.ignorance:.2f}: it has not learnt this language, or any.",
        (f"its perplexity is {np.exp(min(start, 700.0)):.0f} of {len(case.template.tokenizer)} "
         "tokens",),
        "Use a base that was trained on this language (model.base); or train all its weights "
        "(adapter.kind=full) on far more rows.",
        "most of what there is to gain.",
    )  # fmt: skip


def too_few_conversations(case: TextCase) -> Cause | None:
    """Few rows, and held-out rows are much harder than those that were learnt."""
    rows, curves = case.training.rows, case.training.curves
    if not curves.train or not np.isfinite(curves.train[-1]):
        return None
    gap = 1 - curves.train[-1] / max(min(curves.held[1:]), 1e-9)
    evidence = float(np.clip(gap / 0.4, 0, 1))
    if rows < SCARCE:
        evidence = max(evidence, 0.9)
    weight = off(ENOUGH / max(1, rows), evidence)
    return Cause(
        "too_few_examples", weight,
        f"{rows} conversations are few: {ENOUGH} and more are usual.",
        (f"training loss {curves.train[-1]:.2f}, lowest held-out loss {min(curves.held[1:]):.2f}",),
        f"Collect about {max(10, ENOUGH - rows)} more, in the same manner.",
        "fucina train --learning-curve says how much twice the rows give.",
    ) if weight else None  # fmt: skip


def scarce_test(case: TextCase) -> Cause | None:
    """The interval is so wide that most differences cannot be told."""
    score = case.facts["model"]["scores"]["token_loss"]
    half = (score["high"] - score["low"]) / 2
    rows = case.facts["model"]["rows"]
    # Where the loss is near zero a small interval hides much too.
    wide = max(half / WIDE, half / max(score["value"], 1e-9) / WIDE_SHARE)
    if wide < 1:
        return None
    low, high = (np.exp(min(score[end], 700.0)) for end in ("low", "high"))
    return Cause(
        "test_too_small", float(np.clip(0.05 + 0.25 * wide, 0, 0.8)),
        f"{rows} test rows tell the loss to ±{half:.2f} nats a token only: the perplexity "
        f"is between {low:.3g} and {high:.3g}.",
        (f"{score['low']:.2f} to {score['high']:.2f} nats a token",),
        f"Collect test rows until there are about {round(rows * (1.5 * wide) ** 2)}, which narrow "
        f"this to ±{half / wide / 1.5:.2f}, or use folds.",
        "no better model, but a score that can be believed.",
    )  # fmt: skip


def leaked(case: TextCase) -> Cause | None:
    """Test rows that training saw, question and answer: the score is too good to be true."""
    known = {_plain(row): row.origin for row in case.development.examples}
    seen = np.array([_plain(row) in known for row in case.rows.examples])
    share = float(seen.mean())
    if share < 0.02:
        return None
    known_loss, fresh = _loss(case, seen), _loss(case, ~seen)
    ahead = fresh - known_loss
    if ahead > 0:
        told = f"a loss of {case.test_loss:.2f} is too good to be true"
        gain = f"an honest score, about {fresh - case.test_loss:.2f} nats a token higher."
    else:
        told, gain = "they prove nothing", "an honest score; here it is hardly another."
    return Cause(
        "leakage", float(np.clip(0.55 + 2.5 * share, 0, 0.98)) * (1.0 if ahead > 0 else 0.8),
        f"{int(seen.sum())} of {len(seen)} test rows ({share:.0%}) are training rows too: "
        f"{told}.",
        (f"loss on rows that training saw {known_loss:.2f}, on the others {fresh:.2f}",),
        "Remove these rows from train or test (data.allow_duplicates=false shows them all).",
        gain,
        repairs={known[_plain(row)]: None
                 for row, leaked in zip(case.rows.examples, seen, strict=True) if leaked},
    )  # fmt: skip


def _loss(case: TextCase, rows: np.ndarray) -> float:
    """Loss a token over some test rows; over held-out rows where there are none."""
    if not rows.any():
        return case.held_out_loss
    return float(case.test.losses[rows].sum() / case.test.tokens[rows].sum())


def _plain(row: Example) -> str:
    return " ".join(f"{row.prompt}\n{row.target}".casefold().split())


def shifted(case: TextCase) -> Cause | None:
    """Test questions can be told from training questions, and the model is worse on them."""
    auc = case.beside.domain_auc
    behind = case.test_loss - case.held_out_loss
    if auc < TOLD_APART:
        return None
    strength = float(np.clip((auc - 0.7) / 0.25, 0, 1))
    weight = strength * float(np.clip(0.3 + 1.2 * behind / max(case.held_out_loss, 1e-9), 0.2, 0.9))
    far = np.argsort(case.beside.likeness[:, 0])[:SHOWN]
    return Cause(
        "distribution_shift", weight,
        f"Test questions are unlike training questions: a linear model tells them apart with an "
        f"AUC of {auc:.2f} (0.5 is not at all); the loss is {case.held_out_loss:.2f} nats a token "
        f"on held-out rows and {case.test_loss:.2f} on the test.",
        tuple(f"farthest from training: {case.test.prompts[row]}" for row in far),
        "Collect conversations like those of the test and train on both.",
        f"up to {max(0.0, behind):.2f} nats a token.",
    )  # fmt: skip
