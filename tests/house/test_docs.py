"""What the pages say to type works, in the order in which they say it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fucina import flow, reading, tasks
from fucina.data import load_constitution
from fucina.recipe import load, parse

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("tutorials/*.md")),
    *sorted((ROOT / "docs").glob("how-to/*.md")),
    *sorted((ROOT / "docs").glob("explanation/*.md")),
]
QUICK = {"README.md", "your-own-data.md"}


def _blocks(page, kind):
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def _pages():
    return [
        pytest.param(page, id=page.name, marks=() if page.name in QUICK else pytest.mark.long)
        for page in PAGES
        if _blocks(page, "console")
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", _pages())
def test_a_page_can_be_typed_from_top_to_bottom(page, tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    text = page.read_text(encoding="utf-8")
    for kind, block in re.findall(r"```(console|python)\n(.*?)```", text, re.DOTALL):
        if kind == "python":
            commands = [[sys.executable, "-W", "error::SyntaxWarning", "-c", block]]
        else:
            commands = [["bash", "-c", line[2:]] for line in block.splitlines() if line[:2] == "$ "]
            assert commands, block
        for command in commands:
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command[-1]}\n{done.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "yaml")], ids=str)
def test_a_piece_of_a_recipe_is_a_recipe(page):
    for block in _blocks(page, "yaml"):
        piece = YAML(typ="safe").load(block)
        task = "multitask" if "multitask" in piece else "classification"
        whole = {"task": task, "name": "a", **piece}
        whole["data"] = {"train": "a.csv", **piece.get("data", {})}
        parse(str(whole))


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "yml")], ids=str)
def test_a_constitution_can_be_read(page, tmp_path):
    for block in _blocks(page, "yml"):
        (tmp_path / "rules.yaml").write_text(block, encoding="utf-8")
        assert load_constitution(tmp_path / "rules.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#]+)", prose):
        if "://" not in link:
            assert (page.parent / link).exists(), link


EXAMPLES = sorted((ROOT / "examples").glob("*/recipe*.yaml"))


def _few(path, folder, step):
    """Every nth row of a file, so that each label still has some."""
    rows = path.read_text(encoding="utf-8").splitlines()[::step]
    folder.mkdir(exist_ok=True)
    (folder / path.name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    beside = folder / "databases"  # the rows of questions name theirs from where they lie
    if (path.parent / beside.name).exists() and not beside.exists():
        beside.symlink_to((path.parent / beside.name).resolve())
    return folder / path.name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_trains_on_few_rows(path, make_base, make_decoder, tmp_path):
    recipe, _ = load(path)
    texts = tasks.get(recipe.task).answer == "text"
    base = make_decoder("llama") if texts else make_base("bert")
    # Sides of parts, or of the recipe: the files with few of their rows in their place.
    few = [
        {side: str(_few(path.parent / name, tmp_path / str(number), 2 if texts else 5))
         for side, name in place.files.items()}
        for number, place in enumerate(reading.sources(recipe))
    ]  # fmt: skip
    overrides = [f"data.{side}={file}" for side, file in few[0].items()]
    if parts := tasks.of(recipe).choices.parts:
        told = recipe.model_dump(mode="json")["multitask"]["parts"]
        told = [{**part, **files} for part, files in zip(told, few, strict=True)]
        overrides = [f"multitask.parts={json.dumps(told)}"]
    tests = [Path(files["test"]) for files in few]
    overrides = [*overrides, f"model.base={base}", f"output={tmp_path}",
                 "training.epochs=1", "adapter.rank=2",
                 f"folds.count={min(2, recipe.folds.count)}", "evaluation.bootstrap_samples=100",
                 *(["chat.max_new_tokens=8"] if texts else [])]  # fmt: skip
    outcome = flow.train(load(path, overrides)[0], path.parent)
    rows = sum(len(test.read_text(encoding="utf-8").splitlines()) for test in tests)
    assert outcome.model.rows == rows
    assert len(outcome.parts) == len(parts)
    rules = "rules" in {baseline.name for baseline in outcome.baselines}
    assert rules == (recipe.evaluation.rules is not None)
    assert bool(outcome.must_fix) == (recipe.evaluation.must_fix is not None)


@pytest.mark.parametrize("folder", sorted({path.parent for path in EXAMPLES}), ids=lambda f: f.name)
def test_an_example_is_told_by_a_page_and_by_the_list(folder):
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert f"({folder.name}/README.md)" in listed
    told = (folder / "README.md").read_text(encoding="utf-8")
    assert all(path.name in told for path in folder.glob("recipe*.yaml"))
