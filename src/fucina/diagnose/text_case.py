"""What a diagnosis of texts looks at: the conversations, the curves and the answers of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.config import metric_name
from fucina.diagnose.reference import domain_auc
from fucina.diagnose.training import Training
from fucina.metrics import bootstrap
from fucina.models.lexical import counts, learn, rarity, weigh
from fucina.records import Dataset, Epoch, Finding, Interval, Slice, Texts, WorstError

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template

__all__ = [
    "LIKENESS",
    "Likeness",
    "TextCase",
    "liken",
    "text_errors",
    "text_slices",
    "text_symptom",
]

NEIGHBORS = 3
FEWEST = 5  # rows a slice must have
SLICED = 10  # errors
RESAMPLES = 300
LIKENESS = ("unlike training", "somewhat like training", "like training")


@dataclass(frozen=True)
class Likeness:
    """How test rows are beside training rows, by n-grams of what is asked.

    Attributes:
        domain_auc: How well a linear model tells them apart: 0.5 not at all, 1 always.
        neighbors: For each test row the nearest development rows, t x 3.
        likeness: How like it is to each of them: cosine, t x 3.
    """

    domain_auc: float
    neighbors: np.ndarray
    likeness: np.ndarray


@dataclass(frozen=True)
class TextCase:
    """Everything known about one run that answers with text.

    Attributes:
        recipe: What was asked.
        facts: The content of metrics.json.
        epochs: Of all members.
        development: The n rows that members learned from or were chosen on.
        fold: n numbers: the member that held the row out, -1 for none.
        held_out: Losses of held-out rows under the members that did not learn from them.
        rows: The t test rows.
        test: What the model wrote to them, and their losses.
        findings: What the audit says of both.
        beside: How test rows are beside training rows.
        template: How conversations are written.
    """

    recipe: "Recipe"
    facts: Mapping[str, Any]
    epochs: tuple[Epoch, ...]
    development: Dataset
    fold: np.ndarray
    held_out: Texts
    rows: Dataset
    test: Texts
    findings: tuple[Finding, ...]
    beside: Likeness
    template: "Template | Pairing"

    @cached_property
    def training(self) -> Training:
        """How training went; knowing nothing is finding every token of the vocabulary as likely."""
        members = max(1, int(self.fold.max()) + 1)
        return Training(
            recipe=self.recipe,
            members=self.facts["members"],
            epochs=self.epochs,
            rows=round(len(self.fold) - (self.fold >= 0).sum() / members),
            ignorance=float(np.log(len(self.template.tokenizer))),
        )

    @cached_property
    def losses(self) -> np.ndarray:
        """Loss a token of each test row, nats."""
        return self.test.losses / np.maximum(self.test.tokens, 1e-9)

    @property
    def test_loss(self) -> float:
        """Loss a token over all test rows."""
        return self.facts["model"]["scores"]["token_loss"]["value"]

    @property
    def held_out_loss(self) -> float:
        """Loss a token over all held-out rows."""
        return self.facts["out_of_fold"]["scores"]["token_loss"]["value"]

    @property
    def base_loss(self) -> float | None:
        """Loss a token of the base alone on the test rows; None where it was not judged."""
        losses = [b["scores"].get("token_loss") for b in self.facts["baselines"]]
        return next((loss["value"] for loss in losses if loss is not None), None)

    @cached_property
    def target_tokens(self) -> np.ndarray:
        """Tokens of each true answer in the test, with its end."""
        ids = self.template.tokenizer(list(self.test.targets), add_special_tokens=False)
        return np.array([len(row) + 1 for row in ids["input_ids"]])

    def finding(self, check: str) -> Finding | None:
        """The first finding of a check."""
        return next((f for f in self.findings if f.check == check), None)

    def share(self, check: str) -> float:
        """How many of all rows a check has something to say about."""
        found = self.finding(check)
        return len(found.rows) / (len(self.development) + len(self.rows)) if found else 0.0


def liken(development: Sequence[str], test: Sequence[str], *, seed: int) -> Likeness:
    """Compare what is asked in the test with what is asked in training.

    Example:
        >>> found = liken(["ciao a tutti", "che ora è"], ["che ora è adesso"], seed=0)
        >>> found.neighbors[0].tolist(), found.domain_auc
        ([1, 0], 0.5)
    """
    texts = [*development, *test]
    ngrams = counts(texts, learn(texts))
    rows: Any = weigh(ngrams, rarity(ngrams))
    like = (rows[len(development) :] @ rows[: len(development)].transpose()).toarray()
    nearest = np.argsort(-like, axis=1, kind="stable")[:, :NEIGHBORS]
    return Likeness(
        domain_auc(development, list(test), seed),
        nearest,
        np.take_along_axis(like, nearest, axis=1),
    )


def text_symptom(case: TextCase) -> str:
    """Say how good the model is, in a sentence, before anybody asks why."""
    scores = case.facts["model"]["scores"]
    value, first = scores["perplexity"], case.facts.get("headline", "perplexity")
    said = (
        f"perplexity {value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}] on "
        f"{case.facts['model']['rows']} test rows, {np.exp(case.held_out_loss):.2f} on "
        f"held-out ones"
    )
    if first != "perplexity":
        mark = scores[first]
        own = f"{mark['value']:.3f} [{mark['low']:.3f}, {mark['high']:.3f}]"
        said = f"{metric_name(first)} {own}; {said}"
    if case.base_loss is not None:
        said += f"; its base alone has {np.exp(min(case.base_loss, 700.0)):.2f}"
    if "ended" in scores:
        said += f"; {scores['ended']['value']:.0%} of the answers end by themselves"
    return said + "."


def text_slices(case: TextCase) -> list[Slice]:
    """Loss a token by length of the answer, by turns and by likeness, the weakest first."""
    turns = np.array([sum(m.role == "user" for m in row.messages) for row in case.rows.examples])
    parts = [
        *_thirds("answer", case.target_tokens.astype(float), ("short", "middle", "long")),
        *_thirds(
            "likeness", case.beside.likeness[:, 0],
            LIKENESS,
        ),
        ("turns", "one question", turns <= 1),
        ("turns", "several questions", turns > 1),
    ]  # fmt: skip
    jobs = np.array([row.facts.get("part", "") for row in case.rows.examples])
    parts += [("part", name, jobs == name) for name in np.unique(jobs).tolist()]
    found = []
    for kind, name, rows in parts:
        count = int(rows.sum())
        if FEWEST <= count < len(rows):
            score = _loss(case, rows)
            weak = score.low > case.test_loss
            found.append(Slice(kind, name, count, score, weak, metric="token_loss"))
    return sorted(found, key=lambda part: -part.score.value)


def _loss(case: TextCase, rows: np.ndarray) -> Interval:
    losses, tokens = case.test.losses[rows], np.maximum(case.test.tokens[rows], 1e-9)
    return bootstrap(
        lambda picks: losses[picks].sum() / tokens[picks].sum(),
        len(losses),
        samples=RESAMPLES,
        seed=case.recipe.seed,
    )


def _thirds(
    kind: str, values: np.ndarray, names: tuple[str, str, str]
) -> list[tuple[str, str, np.ndarray]]:
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    first, last = values <= low, values > high
    parts = zip(names, (first, ~first & ~last, last), strict=True)
    return [(kind, name, rows) for name, rows in parts]


def text_errors(case: TextCase) -> list[WorstError]:
    """The true answers that were found least likely, with the nearest training rows."""
    rows, beside = case.development.examples, case.beside
    return [
        WorstError(
            case.test.prompts[row], case.test.targets[row], case.test.answers[row],
            float(np.exp(-case.losses[row])),
            tuple(
                (float(like), rows[near].target, rows[near].prompt)
                for near, like in zip(beside.neighbors[row], beside.likeness[row], strict=True)
            ),
        )
        for row in np.argsort(-case.losses, kind="stable")[:SLICED].tolist()
    ]  # fmt: skip
