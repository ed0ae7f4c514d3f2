"""Write the reference pages from the code: python docs/generate.py."""

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin

from fucina.config import (
    ALIASES,
    AnswerConfig,
    AnswerRuleConfig,
    IndexConfig,
    JudgeConfig,
    RouteConfig,
    RulesConfig,
    SearchConfig,
    ServeConfig,
    ShipConfig,
    section,
)
from fucina.pretrain.settings import PretrainRecipe
from fucina.recipe import PRESETS, recipe_of

BAR = "\\|"  # in a table of Markdown a bar alone ends the cell
REFERENCE = Path(__file__).parent / "reference"


def recipe_page() -> str:
    """Every setting with its default, range and meaning."""
    lines = [
        "# The recipe",
        "",
        "One YAML file says everything. Every key can be given on the command line too, as",
        "`section.key=value`; that wins over the file, and the file over the preset.",
        "This page is written by `python docs/generate.py`.",
        "",
        *_settings(recipe_of(None)),
    ]
    lines += ["", "## Presets", "", "| preset | sets |", "| --- | --- |"]
    for preset, changes in PRESETS.items():
        sets = ", ".join(
            f"`{section}.{key}={value}`"
            for section, keys in changes.items()
            for key, value in keys.items()
        )
        lines.append(f"| `{preset}` | {sets or 'the defaults above'} |")
    lines += ["", "## Names of other tools", "", "Read as ours, and shown as mapped:", ""]
    lines += ["| name | read as |", "| --- | --- |"]
    lines += [f"| `{name}` | `{ours}` |" for name, ours in sorted(ALIASES.items())]
    return "\n".join(lines) + "\n"


def pretrain_page() -> str:
    """Every setting of a recipe of `fucina pretrain`."""
    lines = [
        "# The recipe of pretraining",
        "",
        "What `fucina pretrain` reads ([how to use it](../how-to/pretrain.md)).",
        "This page is written by `python docs/generate.py`.",
        "",
        *_settings(PretrainRecipe),
    ]
    return "\n".join(lines) + "\n"


def documents_page() -> str:
    """Every setting of an index and of a search."""
    parts = [
        "# Documents",
        "",
        "What `fucina index` and `fucina ask` take as `key=value` ([how to use them](../how-to/documents.md)).",
        "This page is written by `python docs/generate.py`.",
    ]
    sections = [
        ("fucina index", "", IndexConfig),
        ("fucina ask", "", SearchConfig),
        ("fucina ask: who answers", "answer.", AnswerConfig),
        ("fucina ask --questions: who judges", "judge.", JudgeConfig),
    ]
    return "\n".join([*parts, *_tables(sections)]) + "\n"


def serve_page() -> str:
    """Every setting of a server, and of a file of rules."""
    parts = [
        "# Serving",
        "",
        "What `fucina serve` takes as `key=value` ([how to use it](../how-to/serve.md)).",
        "This page is written by `python docs/generate.py`.",
    ]
    sections = [
        ("fucina serve", "", ServeConfig),
        ("fucina serve: who answers instead", "route.", RouteConfig),
        ("A file of rules", "", RulesConfig),
        ("One rule of it", "", AnswerRuleConfig),
    ]
    return "\n".join([*parts, *_tables(sections)]) + "\n"


def export_page() -> str:
    """Every setting of an export."""
    parts = [
        "# Exporting",
        "",
        "What `fucina export RUN --to merged|gguf|ollama` takes as `key=value` ([how to use it](../how-to/export.md)).",
        "This page is written by `python docs/generate.py`.",
    ]
    return "\n".join([*parts, *_tables([("fucina export", "", ShipConfig)])]) + "\n"


def _tables(sections: list[tuple[str, str, type]]) -> list[str]:
    """A table of settings for each title, what stands before their names, and section."""
    lines = []
    for title, before, kind in sections:
        lines += ["", f"## {title}", "", (kind.__doc__ or "").strip(), ""]
        lines += ["| setting | default | meaning |", "| --- | --- | --- |"]
        lines += [_row(f"{before}{key}", field) for key, field in kind.model_fields.items()]
    return lines


def _settings(root: type) -> list[str]:
    """A table of what stands at the top, then one of each section."""
    lines = ["## Top level", "", "| setting | default | meaning |", "| --- | --- | --- |"]
    sections = []
    for name, field in root.model_fields.items():
        kind = section(field.annotation)
        if kind is None:
            lines.append(_row(name, field))
        else:
            sections += ["", f"## {name}", "", *_section(name, field, kind)]
    return lines + sections


def _section(name: str, field: object, kind: type) -> list[str]:
    """A table of the settings of a section; lists of sections have a table of their own below."""
    lines = [(kind.__doc__ or "").strip()]
    if get_origin(field.annotation) is tuple:
        lines[0] += " A list: each item has these settings."
    elif not field.is_required() and field.get_default() is None:
        lines[0] += " The section may be left out."
    lines += ["", "| setting | default | meaning |", "| --- | --- | --- |"]
    lines += [_row(f"{name}.{key}", own) for key, own in kind.model_fields.items()]
    for key, own in kind.model_fields.items():
        inner = section(own.annotation)
        if inner is not None:
            lines += ["", f"### {name}.{key}", "", *_section(f"{name}.{key}", own, inner)]
    return lines


def _row(name: str, field: object) -> str:
    default = (
        "required"
        if field.is_required()
        else f"`{_default(field.get_default(call_default_factory=True))}`"
    )
    choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
    choices = choices or [
        c for part in get_args(field.annotation) for c in get_args(part) if isinstance(c, str)
    ]
    listed = f" One of {', '.join(f'`{c}`' for c in choices)}." if choices else ""
    return f"| `{name}` | {default} | {(field.description or '').replace('|', BAR)}{listed} |"


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def commands_page() -> str:
    """The help of every verb, as it is shown."""
    shown = _help()
    verbs = [line.split()[0] for line in shown.split("Commands:")[1].splitlines() if line.strip()]
    parts = [
        "# Commands",
        "",
        "Exit codes: 0 done, 1 a goal of the recipe was missed (`--strict`), 2 you can mend it",
        "(the message says how), 3 a defect of ours. `--json` prints one JSON document.",
        "This page is written by `python docs/generate.py`.",
        "",
        "```text",
        shown.rstrip(),
        "```",
    ]
    for verb in verbs:
        parts += ["", f"## fucina {verb}", "", "```text", _help(verb).rstrip(), "```"]
    return "\n".join(parts) + "\n"


def _help(*verb: str) -> str:
    command = [sys.executable, "-m", "fucina", *verb, "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return text.replace("python -m fucina", "fucina").replace("__main__.py", "fucina")


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(exist_ok=True)
    (REFERENCE / "recipe.md").write_text(recipe_page(), encoding="utf-8")
    (REFERENCE / "pretrain.md").write_text(pretrain_page(), encoding="utf-8")
    (REFERENCE / "documents.md").write_text(documents_page(), encoding="utf-8")
    (REFERENCE / "export.md").write_text(export_page(), encoding="utf-8")
    (REFERENCE / "serve.md").write_text(serve_page(), encoding="utf-8")
    (REFERENCE / "commands.md").write_text(commands_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
