"""The parts of a report that only texts have."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fucina.config import metric_name
from fucina.evaluate.held import held_and_free
from fucina.evaluate.page import folded, section, table
from fucina.evaluate.parts import outside
from fucina.evaluate.persona import persona_sentences
from fucina.evaluate.true_answers import TRUE, trait_name
from fucina.tasks.settings import BASE

__all__ = ["beside", "of_all_rows", "part_title", "text_parts"]


def text_parts(facts: Mapping[str, Any]) -> list[str]:
    """What answers are like, the model beside others, parts of the rows, the hardest answers."""
    errors = facts.get("errors", [])
    return [
        _alone(facts["model"]), beside(facts), _held(facts), *_slices(facts), _answers(errors),
        _evidence(errors),
    ]  # fmt: skip


def of_all_rows(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of all rows together; each of several tasks has a part of the page."""
    model, parts = facts["model"], facts.get("parts", {})
    if not parts:
        return facts
    own = {name: outside(parts, model[name]) for name in ("scores", "slices")}
    own["beside"] = {who: traits for who in model["beside"]
                     if (traits := outside(parts, model["beside"][who]))}  # fmt: skip
    return {**facts, "model": {**model, **own}, "errors": []}


def part_title(name: str, facts: Mapping[str, Any]) -> str:
    """What the page of a run begins one of several tasks with."""
    return f'<h1>{escape(name)}</h1>\n<p class="lead">{escape(facts["verdict"])}</p>'


def _held(facts: Mapping[str, Any]) -> str:
    rows = held_and_free(facts)
    how = (
        "The same model: its answers held to the grammar of chat.constrain, and what it writes by "
        "itself; with intervals."
    )
    if not rows:
        return ""
    body = table(("", "held", "free"), rows, numbers=1)
    return section("Held to the grammar, and free", how, body)


def _slices(facts: Mapping[str, Any]) -> list[str]:
    """A table a way of dividing the rows."""
    model, headline = facts["model"], metric_name(facts["headline"])
    header = ("", "rows", "share", headline, "interval")
    found = []
    for way, parts in model.get("slices", {}).items():
        count = sum(part["rows"] for part in parts.values())
        rows = [
            (name, part["rows"], f"{part['rows'] / count:.1%}", f"{part['value']:.3f}",
             f"{part['low']:.3f} to {part['high']:.3f}")
            for name, part in parts.items()
        ]  # fmt: skip
        how = f"The test rows by {way}, and the {headline} of each part."
        found.append(section(f"By {way}", how, table(header, rows, numbers=1)))
    return found


def _evidence(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the task shows beside the hardest answers."""
    shown = [row for row in rows if row.get("evidence")]
    if not shown:
        return ""
    parts = [
        folded(
            f"{row['prompt']}{' · ' + short if (short := _short(row['evidence'])) else ''}",
            {"true answer": row["target"], "written": row["answer"], **_long(row["evidence"])},
        )
        for row in shown
    ]
    how = "The hardest of these answers beside the truth; open one to see both."
    return section("Answers side by side", how, "\n".join(parts))


def _short(evidence: Mapping[str, str]) -> str:
    return ", ".join(text for name, text in evidence.items() if name not in _long(evidence))


def _long(evidence: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in evidence.items() if "result" in name}


def _alone(model: Mapping[str, Any]) -> str:
    """The scores that need no true answer, with those of the true answers."""
    columns = {"model": model.get("scores", {}), **model.get("beside", {})}
    if TRUE not in columns:
        return ""
    rows = [
        (trait_name(name), *(_cell(scores.get(name)) for scores in columns.values()))
        for name in columns[TRUE]
    ]
    persona = model.get("persona", {})
    kept = " A rule counts in the rows whose question it is for." if persona else ""
    how = (
        "Of the answers alone, without looking at the true ones, which have the same scores beside "
        f"them; with intervals. More is not better where the true answers have less.{kept}"
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in persona_sentences(persona))
    return section("What the answers are like", how, table(("", *columns), rows, numbers=1) + notes)


def _cell(score: Mapping[str, float] | None) -> str:
    return f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]" if score else ""


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
