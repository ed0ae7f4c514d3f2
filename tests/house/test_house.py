"""The rules of the house, held by machine."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import fucina
from fucina import tasks
from fucina.reading import sources
from fucina.recipe import load

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "fucina"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_has_one_idea_and_says_it(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)), "the first line says what the module is for"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_class_extends_a_concrete_class(path):
    allowed = {"FucinaError", "Exception", "Settings", "BaseModel", "nn.Module"}
    allowed |= {"torch.autograd.Function", "Protocol", "NamedTuple"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            bases = {base for base in bases if not base.startswith("Generic[")}
            assert bases <= allowed, node.name


def _modules():
    return [
        info.name
        for info in pkgutil.walk_packages([str(SOURCE)], "fucina.")
        if not info.name.endswith("__main__")
    ]


@pytest.mark.parametrize("name", _modules())
def test_all_is_sorted_and_whole(name):
    module = importlib.import_module(name)
    public = list(module.__all__)
    # ruff sorts constants first, then classes, then functions.
    assert len(set(public)) == len(public)
    for attribute in public:
        assert hasattr(module, attribute), attribute


def test_importing_fucina_loads_nothing_heavy():
    code = (
        "import sys, fucina, fucina.cli.app; "
        "print([m for m in ('torch', 'transformers', 'numpy', 'sklearn', 'pydantic', 'peft') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _help(*arguments):
    command = [sys.executable, "-m", "fucina", *arguments, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_command_has_help_and_a_line_in_the_reference():
    verbs = re.findall(r"^  (\w+)  ", _help().split("Commands:")[1], re.MULTILINE)
    assert {"demo", "train", "evaluate", "compare", "predict", "report"} <= set(verbs)
    reference = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for verb in verbs:
        assert f"## fucina {verb}" in reference, verb
        shown = _help(verb)
        assert len(shown.splitlines()) > 5
        assert all(len(line) <= 80 for line in shown.splitlines())


def _sections(kind, place=""):
    """Place and class of every section of a recipe, those in lists of sections too."""
    from fucina.config import section

    for key, field in kind.model_fields.items():
        inner = section(field.annotation)
        if inner is not None:
            yield f"{place}{key}", inner
            yield from _sections(inner, f"{place}{key}.")


def test_every_setting_is_in_the_reference():
    from fucina.recipe import recipe_of

    recipe = recipe_of(None)  # with the sections of all tasks
    reference = (ROOT / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8")
    sections = dict(_sections(recipe))
    assert {"training", "synthesis.prompts", "phases"} <= set(sections)
    for place, kind in sections.items():
        assert f"## {place}\n" in reference, place
        assert len(kind.model_fields) <= 12, f"{place} has too many settings"
        assert all(f"`{place}.{key}`" in reference for key in kind.model_fields), place
    assert all(f"`{key}`" in reference for key in recipe.model_fields if key not in sections)


RECIPES = sorted([*SOURCE.rglob("*.yaml"), *(ROOT / "examples").rglob("recipe*.yaml")])
RECIPES.remove(SOURCE / "plan" / "hardware.yaml")  # machines, not a recipe
RECIPES.remove(SOURCE / "tasks" / "chat" / "constitution.yaml")
RECIPES.remove(SOURCE / "bases" / "favilla" / "recipe.yaml")  # of fucina pretrain


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_recipe_loads_and_its_data_are_there(path):
    recipe, mapped = load(path)
    assert not mapped
    for place in sources(recipe):
        for name in place.files.values():
            assert (path.parent / name).is_file(), name


def test_version_and_changelog_agree():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE).group(1) == fucina.__version__


def test_the_readme_shows_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first_screen = "\n".join(readme.splitlines()[:40])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_no_file_names_this_machine_or_a_registry():
    words = ("/wo" + "rk/", "pypi.o" + "rg", "file:" + "///opt", "/ro" + "ot/")
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".yaml", ".lock", ".txt", ""}:
            text = path.read_text(encoding="utf-8")
            assert not [word for word in words if word in text], name


def test_a_task_is_told_in_few_words():
    for record in (tasks.Task, tasks.Judging, tasks.Choices):
        assert len(fields(record)) <= 10, record.__name__
