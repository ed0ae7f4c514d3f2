"""The parts of a report that only texts have."""

from collections.abc import Mapping, Sequence
from typing import Any

from fucina.config import metric_name
from fucina.evaluate.page import section, table
from fucina.tasks.settings import BASE

__all__ = ["beside", "text_parts"]


def text_parts(facts: Mapping[str, Any]) -> list[str]:
    """The model beside its base, and the answers that were hardest to foretell."""
    return [beside(facts), _answers(facts.get("errors", []))]


def beside(facts: Mapping[str, Any], *, above: str = "") -> str:
    """The model beside its baselines, by the headline.

    Args:
        facts: The content of metrics.json.
        above: What stands above the table, as HTML.
    """
    if not facts["against"]:
        return ""
    name, of_loss = facts["headline"], facts["headline"] == "perplexity"
    rows = []
    for baseline, comparison in zip(facts["baselines"], facts["against"], strict=True):
        gain = comparison["differences"]["token_loss" if of_loss else name]
        p_value = comparison["p_value"]
        rows.append(
            (
                comparison["first"],
                f"{baseline['scores'][name]['value']:.{2 if of_loss else 3}f}",
                f"{gain['value']:+.3f}",
                f"{gain['low']:+.3f} to {gain['high']:+.3f}",
                f"{p_value:.3f}" if p_value >= 0.001 else "<0.001",
                comparison["verdict"],
            )
        )
    ahead = "model's loss beside it" if of_loss else "model ahead"
    header = ("baseline", metric_name(name).partition(" (")[0], ahead, "interval", "p", "verdict")
    what = (
        "Losses are nats a token; below zero the model finds the true answers more likely. The p "
        "value flips the signs of rows."
        if of_loss
        else "The p value says how often two models that swap their answers at random differ so "
        "much."
    )
    plain = any(baseline["name"] == BASE for baseline in facts["baselines"])
    how = "Base is the base model asked the same without training. " * plain + what
    title = "Beside the base alone" if of_loss else "Beside free baselines"
    return section(title, how, above + table(header, rows))


def _answers(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    marked = rows[0].get("score") is not None
    listed = [
        (row["prompt"], row["target"], row["answer"] + ("" if row["ended"] else " …"),
         *([f"{row['score']:.2f}"] if marked else []), f"{row['token_loss']:.2f}")
        for row in rows
    ]  # fmt: skip
    how = (
        f"Test rows {'of the lowest score' if marked else 'whose true answer the model found'}"
        f"{'' if marked else ' least likely'}, worst first; … stands where it did not end its "
        "answer itself. Mistakes in the rows often stand at the top."
    )
    score = ["score"] if marked else []
    header = ("asked", "true answer", "written", *score, "nats a token")
    return section("Hardest answers", how, table(header, listed, numbers=3))
