"""What the pages say to type works, in the order in which they say it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fucina import flow
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
        whole = {"task": "classification", "name": "a", **piece}
        whole["data"] = {"train": "a.csv", **piece.get("data", {})}
        parse(str(whole))


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "yml")], ids=str)
def test_a_constitution_can_be_read(page, tmp_path):
    for block in _blocks(page, "yml"):
        (tmp_path / "rules.yaml").write_text(block, encoding="utf-8")
        assert load_constitution(tmp_path / "rules.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*/recipe.yaml")), ids=lambda path: path.parent.name
)
def test_an_example_trains_on_tiny_settings(path, make_base, tmp_path):
    overrides = [f"model.base={make_base('bert')}", f"output={tmp_path}", "training.epochs=1",
                 "folds.count=2", "adapter.rank=2", "evaluation.bootstrap_samples=100"]  # fmt: skip
    outcome = flow.train(load(path, overrides)[0], path.parent)
    assert outcome.model.rows > 100
    assert "rules" in {baseline.name for baseline in outcome.baselines}
