"""Hand a recipe and its rows over to another tool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fucina import data, export, reading, run, tasks, using
from fucina.config import Recipe
from fucina.errors import RecipeError
from fucina.export import Bundle
from fucina.recipe import load
from fucina.records import Dataset
from fucina.tasks.settings import AUTO, EMBEDDED, SCRATCH

__all__ = ["Exported", "export_recipe"]

HERE_ALONE = (AUTO, SCRATCH, "minilm", *EMBEDDED.values())  # bases that another tool cannot have


@dataclass(frozen=True)
class Exported:
    """What was written for another tool.

    Attributes:
        title: The tool's name.
        folder: Where the files are.
        files: Their names, that which the tool is started with first.
        command: Starts the training in that folder.
        rows: Side to how many rows it has.
        lost: Settings without equivalent.
    """

    title: str
    folder: str
    files: tuple[str, ...]
    command: str
    rows: Mapping[str, int]
    lost: tuple[str, ...]


def export_recipe(
    path: Path,
    to: str,
    output: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    as_text: bool = False,
) -> Exported:
    """Write the equivalent configuration of another tool, with the rows it needs.

    Args:
        path: A recipe, or a run, whose recipe is meant.
        to: Name of the tool.
        output: A new folder, or the configuration file in one; by default NAME-TOOL.
        overrides: `section.key=value`, as on the command line.
        as_text: Labels become answers that the model writes.

    Raises:
        FucinaError: The recipe cannot be read, or has no equivalent there.
    """
    target = export.get(to)
    recipe, divided, template = (
        _read_run(path, overrides) if path.is_dir() else _read(path, overrides)
    )
    _require_writer(recipe, target.title, as_text=as_text)
    system = recipe.chat.system
    if tasks.get(recipe.task).answer == "label":
        system = f"Answer with one of: {', '.join(sorted({*divided[0].targets}))}."
    sides = [export.conversations(data.to_messages(rows), system) for rows in divided]
    shape = _shape(recipe.model.base)
    layers = shape.get("num_hidden_layers", shape.get("n_layer"))
    source = export.Handover(recipe, *sides, template=template, layers=layers)
    folder, bundle = _placed(target.write(source), output or Path(f"{recipe.name}-{to}"))
    for name, content in bundle.files.items():
        run.write_text(folder / name, content)
    counts = dict(zip(("train", "validation", "test"), map(len, sides), strict=True))
    ordered = tuple(sorted(bundle.files, key=lambda name: name != bundle.main))
    return Exported(target.title, str(folder), ordered, bundle.command, counts, bundle.lost)


Divided = tuple[Dataset, Dataset, Dataset]


def _read(path: Path, overrides: Sequence[str]) -> tuple[Recipe, Divided, str | None]:
    """A recipe, its rows as its first member sees them, and the template that it names."""
    recipe, _ = load(path, overrides)
    root = path.resolve().parent
    split, _ = reading.read(recipe, root)
    first = split.folds[0]
    rows = split.development.take(first.train), split.development.take(first.held_out), split.test
    named = recipe.chat.template
    if named in ("auto", "chatml"):
        return recipe, rows, None
    try:
        return recipe, rows, (root / named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"chat.template: {named} cannot be read.", fix="Name a Jinja file, auto or chatml."
        ) from error


def _read_run(path: Path, overrides: Sequence[str]) -> tuple[Recipe, Divided, str | None]:
    """The same of a run, from its folder alone."""
    folder = run.find(path)
    if overrides:
        raise RecipeError(
            f"{folder} is a run, whose settings stay as they were: {overrides[0]}.",
            fix="Give the recipe to change a setting.",
        )
    recipe = run.read_recipe(folder)
    rows, folds = run.read_rows(folder / "development.parquet")
    held = [row for row, fold in enumerate(folds) if fold == 0]
    kept = [row for row, fold in enumerate(folds) if fold != 0]
    own = recipe.chat.template not in ("auto", "chatml")
    template = run.template_of(folder).read_text(encoding="utf-8") if own else None
    return recipe, (rows.take(kept), rows.take(held), using.test_set(folder)), template


def _require_writer(recipe: Recipe, title: str, *, as_text: bool) -> None:
    """Stop where the other tool would train something else than the recipe means.

    Raises:
        RecipeError: The task answers with labels, or the base does not write.
    """
    task = tasks.get(recipe.task)
    if task.answer == "spans":  # with or without --as-text: their written forms are tasks
        forms = " or ".join(f"task={task.name}.{form}" for form in task.choices.forms)
        raise RecipeError(
            f"{task.name} answers with spans; {title} trains models that write.",
            fix=f"Let a decoder write them: {forms}, and model.base=DECODER.",
        )
    if task.answer != "text" and not as_text:
        raise RecipeError(
            f"{recipe.task} answers with {task.answer}s; {title} trains models that write.",
            fix="Let a decoder write the answer: add --as-text and model.base=DECODER.",
        )
    if _shape(recipe.model.base).get("is_encoder_decoder"):
        raise RecipeError(
            f"{recipe.model.base} has an encoder and a decoder; {title} trains decoders alone.",
            fix="Set model.base to a decoder, or train it here.",
        )
    if recipe.model.base in HERE_ALONE:
        raise RecipeError(
            f"{title} cannot train model.base: {recipe.model.base}.",
            fix="Set model.base to a decoder: HuggingFaceTB/SmolLM2-135M-Instruct, or a folder.",
        )


def _shape(base: str) -> Mapping[str, Any]:
    """The configuration of a base, where its folder is at hand."""
    path = Path(base) / "config.json"
    return run.read_json(path) if path.is_file() else {}


def _placed(bundle: Bundle, output: Path) -> tuple[Path, Bundle]:
    """The folder that files go to, before any is written; the main one is called as asked.

    Raises:
        RecipeError: A file of such a name is there.
    """
    suffix = Path(bundle.main).suffix
    folder = output
    if output.suffix == suffix:
        folder, name = output.parent, output.name
        files = {name if old == bundle.main else old: text for old, text in bundle.files.items()}
        files[name] = files[name].replace(bundle.main, name, 1)  # in the command at its head
        bundle = replace(
            bundle, main=name, files=files, command=bundle.command.replace(bundle.main, name)
        )
    elif output.is_file():
        raise RecipeError(f"{output} is a file.", fix=f"Give --output a folder, or NAME{suffix}.")
    there = [name for name in bundle.files if (folder / name).exists()]
    if there:
        raise RecipeError(
            f"{folder / there[0]} exists already.", fix="Give --output a new folder, or delete it."
        )
    return folder, bundle
