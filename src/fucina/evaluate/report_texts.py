"""The parts of a report that only texts have."""

from collections.abc import Mapping, Sequence
from typing import Any

from fucina.evaluate.page import section, table

__all__ = ["text_parts"]


def text_parts(facts: Mapping[str, Any]) -> list[str]:
    """The model beside its base, and the answers that were hardest to foretell."""
    return [_beside(facts), _answers(facts.get("errors", []))]


def _beside(facts: Mapping[str, Any]) -> str:
    if not facts["against"]:
        return ""
    rows = []
    for baseline, comparison in zip(facts["baselines"], facts["against"], strict=True):
        gain = comparison["differences"]["token_loss"]
        p_value = comparison["p_value"]
        rows.append(
            (
                comparison["first"],
                f"{baseline['scores']['perplexity']['value']:.2f}",
                f"{gain['value']:+.3f}",
                f"{gain['low']:+.3f} to {gain['high']:+.3f}",
                f"{p_value:.3f}" if p_value >= 0.001 else "<0.001",
                comparison["verdict"],
            )
        )
    header = ("baseline", "perplexity", "model's loss beside it", "interval", "p", "verdict")
    how = (
        "The base model asked the same without training. Losses are nats a token; below zero the "
        "model finds the true answers more likely. The p value flips the signs of rows."
    )
    return section("Beside the base alone", how, table(header, rows))


def _answers(rows: Sequence[Mapping[str, Any]]) -> str:
    listed = [
        (row["prompt"], row["target"], row["answer"] + ("" if row["ended"] else " …"),
         f"{row['token_loss']:.2f}")
        for row in rows
    ]  # fmt: skip
    how = (
        "Test rows whose true answer the model found least likely, worst first; … stands where it "
        "did not end its answer itself. Mistakes in the rows often stand at the top."
    )
    header = ("asked", "true answer", "written", "nats a token")
    return section("Hardest answers", how, table(header, listed, numbers=3)) if rows else ""
