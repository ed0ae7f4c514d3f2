"""The page that goes with an exported model: how good it is, on what data, how it was proved."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import run, tasks
from fucina.export.license import license_of
from fucina.export.usage import usage
from fucina.records import Proof

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["card"]

PIPELINES = {"label": "text-classification", "spans": "token-classification",
             "text": "text-generation"}  # fmt: skip
WEAKEST = 3  # labels that are named


def card(
    folder: Path, recipe: "Recipe", proof: Proof, name: str, to: str, known_use: Mapping[str, Any]
) -> str:
    """A model card in Markdown, with the head that Hugging Face reads.

    Args:
        folder: Of the run.
        recipe: What was asked.
        proof: Of the export.
        name: The folder that the export will be in.
        to: Its target.
        known_use: What `usage` needs to know besides.
    """
    facts, data = run.read_json(folder / "metrics.json"), run.read_json(folder / "data.json")
    known = license_of(recipe.model.base).name
    told = f"the license of its base is {known}" if known else "the license of its base is not told"
    lines = [
        "---", f"base_model: {recipe.model.base}", *([f"license: {known}"] if known else []),
        f"pipeline_tag: {PIPELINES[tasks.get(recipe.task).answer]}",
        "tags:", "- fucina", f"- {recipe.task}", "---",
        "", f"# {recipe.name}", "", f"{facts['verdict']}", "",
        usage(to, {"folder": name, "name": recipe.name, **known_use}), "",
        *_system(recipe, to),
        "## How good it is", "",
        "On the locked test set, with the interval of resampled rows: of the run. What of it is "
        "left in this export stands under Proof.", "",
        *_table(facts["model"]["scores"]), "",
        "## What it learnt from", "",
        "| rows | count | SHA-256 |", "| --- | --- | --- |",
    ]  # fmt: skip
    for side, own in data.items():
        if isinstance(own, Mapping) and "sha256" in own:
            lines.append(f"| {side} | {own.get('rows', '')} | `{own['sha256']}` |")
    lines += [
        "", "## What it is not for", "",
        f"It was judged on rows like those above, of the task {recipe.task}; of others nothing is "
        f"known. It begins from `{recipe.model.base}`, whose limits it has too; {told}.",
        *_weakest(facts["model"].get("per_label") or {}),
        "", "## Proof", "",
        "What was compared with the trained model (`verify.json`).", "",
        "| what | by | rows | value | held to | |", "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for check in proof.checks:
        limit = "told" if check.limit is None else f"{check.limit:.4g}"
        mark = "yes" if check.passed else "NO"
        lines.append(
            f"| {check.name} | {check.engine} | {check.cases} | {check.value:.4g} | {limit} | "
            f"{mark}{': ' + check.note if check.note else ''} |"
        )
    return "\n".join(lines) + "\n"


def _weakest(each: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The labels that it knows least."""
    ranked = sorted(each.items(), key=lambda pair: pair[1].get("f1", 1.0))[:WEAKEST]
    if not ranked:
        return []
    named = ", ".join(f"{label} (F1 {own['f1']:.2f})" for label, own in ranked if "f1" in own)
    return ["", f"What it knows least: {named}."]


def _system(recipe: "Recipe", to: str) -> list[str]:
    """What the system must say; Ollama says it by itself."""
    if recipe.chat.system is None or to == "ollama" or tasks.get(recipe.task).answer != "text":
        return []
    told = "It learnt with this turn of the system, which the template does not add by itself:"
    return [told, "", *(f"> {line}" for line in recipe.chat.system.splitlines()), ""]  # fmt: skip


def _table(scores: Mapping[str, Any]) -> list[str]:
    lines = ["| score | value | 95 % interval |", "| --- | --- | --- |"]
    return lines + [
        f"| {name} | {own['value']:.4g} | {own['low']:.4g} to {own['high']:.4g} |"
        for name, own in scores.items()
    ]
