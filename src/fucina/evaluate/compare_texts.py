"""Are two models that write measurably different on the same rows?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fucina.errors import RunError
from fucina.metrics import paired_bootstrap, paired_ratio, sign_flips, swaps
from fucina.records import Comparison, Interval, Texts

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["compare_texts"]


@dataclass(frozen=True)
class _Pair:
    """Two named sets of texts, and how intervals are drawn."""

    first: tuple[str, Texts]
    second: tuple[str, Texts]
    config: "EvaluationConfig"
    seed: int

    @property
    def texts(self) -> tuple[Texts, Texts]:
        return self.first[1], self.second[1]


def compare_texts(
    first: tuple[str, Texts],
    second: tuple[str, Texts],
    config: "EvaluationConfig",
    *,
    seed: int,
    headline: str = "perplexity",
) -> Comparison:
    """Compare the answers of two models, or how likely they find the true ones.

    The p value is of the headline: of a task's score, how often models that swap their answers at
    random differ as much; of perplexity, the test that flips the sign of each row's difference of
    losses. Losses are compared where both have cut the true answers into the same tokens.

    Raises:
        RunError: The rows differ; or losses are to be compared and the tokens differ.
    """
    pair = _Pair(first, second, config, seed)
    one, two = pair.texts
    if one.prompts != two.prompts or one.targets != two.targets:
        raise RunError(
            f"{first[0]} and {second[0]} were judged on different rows.",
            fix="Judge both on one file: fucina evaluate RUN --data FILE.",
        )
    of_loss = headline == "perplexity"
    comparable = bool(one.tokens.any()) and np.allclose(one.tokens, two.tokens)
    if of_loss and not comparable:
        raise RunError(
            f"{first[0]} and {second[0]} cut the answers into different tokens, so their "
            "losses a token cannot be compared.",
            fix="Compare runs whose base models share a tokenizer.",
        )
    differences = _marks(pair, headline)
    if comparable:
        differences["token_loss"] = _losses(pair)
    if len(one.ended) and len(two.ended):
        differences["ended"] = _ended(pair)
    if of_loss:
        p_value, test = sign_flips(two.losses - one.losses, seed=seed), "sign flips"
    else:
        p_value, test = swaps(one.marks[headline], two.marks[headline], seed=seed), "swaps"
    gain = differences["token_loss" if of_loss else headline]
    ahead = gain.value < 0 if of_loss else gain.value > 0
    sure = p_value < 1 - config.confidence and (gain.low > 0 or gain.high < 0)
    verdict = (
        f"{second[0]} is {'better' if ahead else 'worse'} than {first[0]}"
        if sure
        else f"no measurable difference between {first[0]} and {second[0]}"
    )
    details = {"rows": len(one.prompts)}
    return Comparison(first[0], second[0], differences, p_value, verdict, details, test)


def _marks(pair: _Pair, headline: str) -> dict[str, Interval]:
    """Differences of the scores that both have, the headline first."""
    one, two = pair.texts
    names = [
        name
        for name in one.marks
        if name == headline
        or (name in two.marks and one.marks[name].possible.any() and two.marks[name].possible.any())
    ]
    return {
        name: paired_ratio(
            one.marks[name], two.marks[name], samples=pair.config.bootstrap_samples,
            seed=pair.seed, confidence=pair.config.confidence,
        )
        for name in sorted(names, key=lambda name: name != headline)
    }  # fmt: skip


def _losses(pair: _Pair) -> Interval:
    one, two = pair.texts
    tokens = np.maximum(one.tokens, 1e-9)

    def losses(picks: np.ndarray) -> tuple[float, float]:
        total = tokens[picks].sum()
        return one.losses[picks].sum() / total, two.losses[picks].sum() / total

    return paired_bootstrap(
        losses, len(tokens), samples=pair.config.bootstrap_samples, seed=pair.seed,
        confidence=pair.config.confidence,
    )  # fmt: skip


def _ended(pair: _Pair) -> Interval:
    ends = [texts.ended.astype(float) for texts in pair.texts]
    return paired_bootstrap(
        lambda picks: (ends[0][picks].mean(), ends[1][picks].mean()), len(ends[0]),
        samples=pair.config.bootstrap_samples, seed=pair.seed, confidence=pair.config.confidence,
    )  # fmt: skip
