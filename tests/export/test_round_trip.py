"""What goes out to another tool and comes back is the same recipe, as far as both know."""

import ast
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from ruamel.yaml import YAML

from fucina import data, export, tasks
from fucina.config import ALIASES, NAMES
from fucina.errors import FucinaError, RecipeError
from fucina.exporting import export_recipe
from fucina.importing import import_config
from fucina.recipe import load, parse

MAIN = {"axolotl": "config.yaml", "llamafactory": "train.yaml"}


def _settings(recipe):
    tree = recipe.model_dump(mode="json")
    flat = {
        f"{s}.{k}": v for s, part in tree.items() if isinstance(part, dict) for k, v in part.items()
    }
    return flat | {key: value for key, value in tree.items() if not isinstance(value, dict)}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Give a function: task → a folder with its recipe and sample."""

    def make(task):
        folder = tmp_path_factory.mktemp(task) / "job"
        shutil.copytree(tasks.folder(task), folder, ignore=shutil.ignore_patterns("*.py"))
        return folder

    return make


def _overrides(draw):
    kind = draw(some.sampled_from(["lora", "full"]))
    found = {
        "model.base": draw(some.sampled_from(["org/small", "./folder"])),
        "model.max_length_tokens": draw(some.integers(4, 32768)),
        "training.epochs": draw(some.integers(1, 50)),
        "training.batch_size": draw(some.integers(1, 64)),
        "training.accumulation": draw(some.integers(1, 8)),
        "training.learning_rate": draw(some.sampled_from([1e-5, 2e-4, 5e-4, 1e-3])),
        "training.schedule": draw(some.sampled_from(["cosine", "linear", "constant"])),
        "training.warmup": draw(some.sampled_from([0.0, 0.03, 0.1, 10.0])),
        "training.weight_decay": draw(some.sampled_from([0.0, 0.01, 0.1])),
        "training.max_gradient_norm": draw(some.sampled_from([0.5, 1.0])),
        "stopping.patience": draw(some.integers(1, 9)),
        "chat.supervise": draw(some.sampled_from(["assistant", "last"])),
        "chat.template": draw(some.sampled_from(["auto", "chatml"])),
        "engine.optimizer": draw(some.sampled_from(["adamw", "adamw_8bit"])),
        "engine.checkpointing": draw(some.sampled_from(["auto", True, False])),
        "adapter.kind": kind,
        "adapter.layers": "all",
        "seed": draw(some.integers(0, 2**31 - 1)),
        "output": "out",
    }
    if kind == "lora":
        found |= {
            "model.quantize": draw(some.sampled_from(["none", "nf4"])),
            "adapter.rslora": draw(some.booleans()),
            "adapter.dora": draw(some.booleans()),
            "adapter.rank": draw(some.integers(1, 64)),
            "adapter.alpha": float(draw(some.integers(1, 128))),
            "adapter.dropout": draw(some.sampled_from([0.0, 0.05, 0.1])),
            "adapter.target_modules": draw(some.sampled_from(["all-linear", "[q_proj, v_proj]"])),
        }
    return found


@pytest.mark.parametrize("tool", MAIN)
@pytest.mark.parametrize("task", ["chat", "hashtags"])
def test_export_and_import_give_the_same_settings(tool, task, job, tmp_path_factory):
    folder = job(task)

    @given(some.data())
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    def same(data):
        wanted = _overrides(data.draw)
        overrides = [f"{key}={value}" for key, value in wanted.items()]
        out = tmp_path_factory.mktemp("out")
        export_recipe(folder / "recipe.yaml", tool, out, overrides=overrides)
        found = import_config(out / MAIN[tool])
        back = _settings(load(Path(found.recipe))[0])
        given = _settings(load(folder / "recipe.yaml", overrides)[0])
        if tool == "axolotl":  # there the rows say it, and are read so
            wanted.pop("chat.supervise")
        assert {key: back[key] for key in wanted} == {key: given[key] for key in wanted}
        assert (out / back["data.train"]).is_file()
        assert (out / back["data.validation"]).is_file()

    same()


@pytest.mark.parametrize("tool", export.names())
def test_rows_are_divided_once_and_none_is_lost_or_shared(tool, job, tmp_path):
    folder = job("hashtags")
    done = export_recipe(folder / "recipe.yaml", tool, tmp_path / "o", overrides=["model.base=a/b"])
    sides = {
        side: (tmp_path / "o" / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()
        for side in ("train", "validation", "test")
    }
    assert {side: len(rows) for side, rows in sides.items()} == done.rows
    rows = [row for part in sides.values() for row in part]
    sample = [
        (folder / name).read_text(encoding="utf-8").splitlines()
        for name in ("sample.jsonl", "test.jsonl")
    ]
    assert len(set(rows)) == len(rows) == sum(map(len, sample))
    first = json.loads(rows[0])["messages"]
    assert [turn["role"] for turn in first] == ["system", "user", "assistant"]
    assert first[0]["content"].startswith("Scrivi gli hashtag")


def test_the_last_answer_alone_is_marked_for_axolotl(job, tmp_path):
    overrides = ["model.base=a/b", "chat.supervise=last"]
    export_recipe(job("chat") / "recipe.yaml", "axolotl", tmp_path / "o", overrides=overrides)
    for line in (tmp_path / "o" / "train.jsonl").read_text(encoding="utf-8").splitlines():
        marks = [turn["train"] for turn in json.loads(line)["messages"]]
        assert marks == [False] * (len(marks) - 1) + [True]
    learnt = data.load(tmp_path / "o" / "train.jsonl", tasks.get("chat"), {}).examples
    for row in learnt:
        spoken = [turn.learnt for turn in row.messages if turn.role == "assistant"]
        assert spoken == [False] * (len(spoken) - 1) + [True]


@pytest.mark.parametrize("tool", export.names())
def test_turns_of_weight_0_are_marked_or_told(tool, tmp_path):
    turns = [
        {"role": "user", "content": "ciao"}, {"role": "assistant", "content": "Boh.", "weight": 0},
        {"role": "user", "content": "dai"}, {"role": "assistant", "content": "Ciao!"},
    ]  # fmt: skip
    rows = [
        {"messages": [{**turn, "content": f"{turn['content']} {n}"} for turn in turns]}
        for n in range(10)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "r.yaml").write_text(
        "{task: chat, name: a, data: {train: rows.jsonl}, model: {base: a/b}}", encoding="utf-8"
    )
    done = export_recipe(tmp_path / "r.yaml", tool, tmp_path / "o")
    assert any("weight 0" in sentence for sentence in done.lost) == (tool != "axolotl")
    if tool == "axolotl":
        written = (tmp_path / "o" / "train.jsonl").read_text(encoding="utf-8").splitlines()
        for row in map(json.loads, written):
            assert [turn["train"] for turn in row["messages"]] == [False, False, False, True]


def test_calls_of_tools_are_turns_of_their_own_for_llamafactory(job, tmp_path):
    export_recipe(
        job("chat") / "recipe.yaml", "llamafactory", tmp_path / "o", overrides=["model.base=a/b"]
    )
    lines = (tmp_path / "o" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    called = 0
    for row in map(json.loads, lines):
        roles = [turn["role"] for turn in row["messages"] if turn["role"] != "system"]
        # It reads a question or a tool first, then an answer or a call, and so on in turn.
        assert all(role in ("user", "tool") for role in roles[::2])
        assert all(role in ("assistant", "function_call") for role in roles[1::2])
        called += "function_call" in roles
        assert ("function_call" in roles) <= bool(row["tools"])
    assert called > 0


def test_the_script_for_unsloth_is_python_and_has_the_settings(job, tmp_path):
    overrides = ["model.base=a/b", "adapter.kind=lora", "adapter.layers=3", "training.warmup=0.5",
                 "training.epochs=4", "chat.supervise=last"]  # fmt: skip
    done = export_recipe(
        job("chat") / "recipe.yaml", "unsloth", tmp_path / "o", overrides=overrides
    )
    tree = ast.parse((tmp_path / "o" / "train.py").read_text(encoding="utf-8"))
    calls = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            literal = {
                k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)
            }
            calls.setdefault(name, literal)
    steps = -(-done.rows["train"] // 16) * 4
    assert calls["get_peft_model"]["finetune_last_n_layers"] == 3
    assert calls["SFTConfig"]["warmup_steps"] == steps // 2
    assert calls["train_on_responses_only"]["last_response_only"] is True


def test_the_top_layers_are_named_where_the_base_is_at_hand(job, make_decoder, tmp_path):
    overrides = [f"model.base={make_decoder('llama')}", "adapter.kind=lora", "adapter.layers=2"]
    done = export_recipe(
        job("chat") / "recipe.yaml", "axolotl", tmp_path / "o", overrides=overrides
    )
    config = YAML(typ="safe").load((tmp_path / "o" / "config.yaml").read_text(encoding="utf-8"))
    assert config["peft_layers_to_transform"] == [2, 3]
    assert not any("adapter.layers" in sentence for sentence in done.lost)


def test_what_has_no_equivalent_is_said_in_the_file(job, tmp_path):
    overrides = ["model.base=a/b", "folds.count=3", "stopping.keep=rollback", "adapter.kind=lora",
                 "adapter.layers=2"]  # fmt: skip
    done = export_recipe(
        job("chat") / "recipe.yaml", "axolotl", tmp_path / "o", overrides=overrides
    )
    text = (tmp_path / "o" / "config.yaml").read_text(encoding="utf-8")
    for setting in (
        "folds.count=3",
        "stopping.keep=rollback",
        "chat.constitution",
        "adapter.layers=2",
    ):
        assert any(sentence.startswith(setting) for sentence in done.lost), setting
        assert f"#   {setting}" in text


def test_labels_go_out_only_where_that_is_asked_for(job, tmp_path):
    recipe = job("classification") / "recipe.yaml"
    with pytest.raises(RecipeError, match="answers with labels") as refused:
        export_recipe(recipe, "axolotl", tmp_path / "o", overrides=["model.base=a/b"])
    assert "--as-text" in refused.value.fix
    done = export_recipe(
        recipe,
        "axolotl",
        tmp_path / "o",
        overrides=["model.base=a/b", "training.loss=focal"],
        as_text=True,
    )
    row = json.loads((tmp_path / "o" / "train.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row["messages"][-1]["content"] in row["messages"][0]["content"]
    assert any("no focal loss" in sentence for sentence in done.lost)


@pytest.mark.parametrize(("task", "tool", "overrides", "problem"), [
    ("chat", "axolotll", ["model.base=a/b"], "no target"),
    ("chat", "axolotl", [], "cannot train model.base: favilla"),
    ("chat", "llamafactory", ["model.base=a/b", "chat.template=mine.jinja"], "cannot be read"),
    ("chat", "axolotl", ["model.base=a/b", "training.loss=focal"], "does nothing"),
])  # fmt: skip
def test_a_refused_export_writes_nothing(task, tool, overrides, problem, job, tmp_path):
    with pytest.raises(FucinaError, match=problem):
        export_recipe(job(task) / "recipe.yaml", tool, tmp_path / "o", overrides=overrides)
    assert not (tmp_path / "o").exists()


def test_an_encoder_decoder_stays_here(job, tmp_path):
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5" / "config.json").write_text('{"is_encoder_decoder": true}', encoding="utf-8")
    with pytest.raises(RecipeError, match="an encoder and a decoder"):
        export_recipe(
            job("chat") / "recipe.yaml",
            "axolotl",
            tmp_path / "o",
            overrides=[f"model.base={tmp_path}/t5"],
        )


def test_nothing_is_written_over(job, tmp_path):
    recipe = job("chat") / "recipe.yaml"
    for main, name in (("a", "config.yaml"), ("b/mine.yaml", "mine.yaml")):
        export_recipe(recipe, "axolotl", tmp_path / main, overrides=["model.base=a/b"])
        assert (tmp_path / main.partition("/")[0] / name).is_file()
        with pytest.raises(RecipeError, match="exists already"):
            export_recipe(recipe, "axolotl", tmp_path / main, overrides=["model.base=a/b"])
    assert "axolotl train mine.yaml" in (tmp_path / "b" / "mine.yaml").read_text(encoding="utf-8")
    import_config(tmp_path / "a" / "config.yaml")
    with pytest.raises(RecipeError, match="exists already"):
        import_config(tmp_path / "a" / "config.yaml")


def test_names_have_one_home_and_lead_to_settings_that_exist():
    recipe = parse("{task: chat, name: a, data: {train: a}}")[0]
    for name, setting in ALIASES.items():
        place = recipe
        for part in setting.split("."):
            place = getattr(place, part)
        assert name != setting
    for tool in ("axolotl", "llamafactory", "trl"):
        used = [getattr(row, tool) for row in NAMES if getattr(row, tool)]
        assert len(set(used)) == len(used)
