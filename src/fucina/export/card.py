"""The page that goes with an exported model: how good it is, on what data, how it was proved."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import run
from fucina.records import Proof

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["card"]

USE = {
    "merged": """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = AutoModelForCausalLM.from_pretrained("{folder}")
```""",
    "gguf": """```sh
llama-cli -m {folder}/*.gguf
fucina serve {folder}/*.gguf
```""",
    "ollama": """```sh
ollama create {name} -f Modelfile
ollama run {name}
```""",
}


def card(folder: Path, recipe: "Recipe", proof: Proof, to: str) -> str:
    """A model card in Markdown, with the head that Hugging Face reads.

    Args:
        folder: Of the run.
        recipe: What was asked.
        proof: Of the export.
        to: Its target.
    """
    facts, data = run.read_json(folder / "metrics.json"), run.read_json(folder / "data.json")
    lines = [
        "---", f"base_model: {recipe.model.base}", "tags:", "- fucina", f"- {recipe.task}", "---",
        "", f"# {recipe.name}", "", f"{facts['verdict']}", "",
        USE[to].format(folder=f"{recipe.name}-{to}", name=recipe.name), "",
        *_system(recipe, to),
        "## How good it is", "", "On the locked test set, with the interval of resampled rows.", "",
        *_table(facts["model"]["scores"]), "",
        "## What it learnt from", "",
        "| rows | count | SHA-256 |", "| --- | --- | --- |",
    ]  # fmt: skip
    for name, own in data.items():
        if isinstance(own, Mapping) and "sha256" in own:
            lines.append(f"| {name} | {own.get('rows', '')} | `{own['sha256'][:16]}…` |")
    lines += [
        "", "## What it is not for", "",
        f"It was judged on rows like those above, of the task {recipe.task}; of others nothing is "
        "known. Its base has its own license and limits: see the page of "
        f"`{recipe.model.base}`.",
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


def _system(recipe: "Recipe", to: str) -> list[str]:
    """What the system must say; Ollama says it by itself."""
    if recipe.chat.system is None or to == "ollama":
        return []
    told = "It learnt with this turn of the system, which the template does not add by itself:"
    return [told, "", *(f"> {line}" for line in recipe.chat.system.splitlines()), ""]  # fmt: skip


def _table(scores: Mapping[str, Any]) -> list[str]:
    lines = ["| score | value | 95 % interval |", "| --- | --- | --- |"]
    return lines + [
        f"| {name} | {own['value']:.4g} | {own['low']:.4g} to {own['high']:.4g} |"
        for name, own in scores.items()
    ]
