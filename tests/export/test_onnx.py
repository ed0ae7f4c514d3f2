"""What is written as ONNX answers as the trained model does."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import onnx_models as models
from fucina.engines.onnx import open_labeller, open_marker
from fucina.engines.onnx_graph import open_graph
from fucina.engines.torch import embed
from fucina.errors import ModelError, RecipeError, ResourceError, RunError
from fucina.export.onnx import facts_of, prove, write
from fucina.export.onnx.graph import as_graph, save_graph
from fucina.export.onnx.network import Together
from fucina.models import saved
from fucina.models.by_name import ByName
from fucina.models.ensemble import Ensemble
from fucina.models.sums import read_sums
from fucina.recipe import parse
from fucina.records import Example

CLOSE = 1e-4  # sums in float32 in another order


@pytest.fixture(scope="session")
def base_of(tokenizer_folder, tmp_path_factory):
    """Give a function: architecture name → loaded base."""
    made = {}

    def load(kind, **settings):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            models.make_folder(kind, made[kind], tokenizer_folder)
        return models.load_base(made[kind], **settings)

    return load


def _differ(model, folder, pool):
    """The largest difference of probabilities; answers are equal."""
    found = open_labeller(folder).label(models.TEXTS)
    wanted = model.predict(models.TEXTS, threads=pool)
    assert (found.labels, found.prompts, found.threshold) == (
        wanted.labels, wanted.prompts, wanted.threshold)  # fmt: skip
    assert found.answers == wanted.answers
    assert np.ptp(wanted.probabilities, axis=0).max() > 0.1, "texts must matter"
    return np.abs(found.probabilities - wanted.probabilities).max()


@pytest.mark.parametrize(
    ("kind", "layers"),
    [("bert", 1), ("roberta", 2), ("xlm-roberta", 1), ("distilbert", 1), ("mpnet", 1),
     ("electra", 1), ("modernbert", 1), ("modernbert", "all"), ("llama", 1), ("gemma3", 2), ("gpt2", 1)],
)  # fmt: skip
def test_architectures_answer_as_trained(kind, layers, base_of, pool, tmp_path):
    model = models.labeller(base_of(kind), members=2, layers=layers)
    write(model, tmp_path / "out")
    assert _differ(model, tmp_path / "out", pool) < CLOSE


@pytest.mark.parametrize(
    ("members", "how", "temperature", "ngrams", "adapter"),
    [(1, "average", 1.0, False, {}), (3, "average", 1.0, True, {"layers": 2}),
     (3, "vote", 1.0, True, {}), (3, "average", 2.5, True, {"dora": True}),
     (1, "average", 0.5, True, {"rslora": True, "layers": "all"}),
     (3, "average", 1.0, False, {"kind": "head"}), (2, "average", 1.0, True, {"kind": "full"})],
)  # fmt: skip
def test_members_answer_together_as_trained(
    members, how, temperature, ngrams, adapter, base_of, pool, tmp_path
):
    model = models.labeller(
        base_of("bert"), members=members, how=how, temperature=temperature, threshold=0.4,
        ngrams=ngrams, **adapter,
    )  # fmt: skip
    write(model, tmp_path / "out")
    assert _differ(model, tmp_path / "out", pool) < CLOSE


@pytest.mark.parametrize(
    ("kind", "members", "forms", "temperature"),
    [("bert", 1, False, 1.0), ("bert", 3, True, 2.0), ("llama", 2, True, 1.0),
     ("distilbert", 1, True, 1.0)],
)  # fmt: skip
def test_taggers_mark_as_trained(kind, members, forms, temperature, base_of, pool, tmp_path):
    model = models.marker(base_of(kind), members=members, forms=forms, temperature=temperature)
    write(model, tmp_path / "out")
    found = open_marker(tmp_path / "out").mark(models.TEXTS)
    wanted = model.predict([Example(text, "") for text in models.TEXTS], threads=pool)
    assert sum(map(len, wanted.answers)) > 5, "there is something to get wrong"
    assert (found.answers, found.types, found.prompts) == (
        wanted.answers, wanted.types, wanted.prompts)  # fmt: skip
    assert found.read == wanted.read
    assert wanted.read[7] < len(models.TEXTS[7]), "one is cut"
    pairs = zip(found.confidences, wanted.confidences, strict=True)
    assert all(np.allclose(mine, theirs, atol=CLOSE) for mine, theirs in pairs)


def test_the_embedded_encoder_reads_accents_and_signs_as_in_training(pool, tmp_path):
    model = models.labeller(models.load_base("favilla-encoder"), members=2, ngrams=True)
    write(model, tmp_path / "out")
    texts = ["Perché l'Università è così lontana?", "naïve café – «già» 東京 😀", "é\u0301 e\u0301",
             "parola " * 600, "[SEP] [MASK] <unk>"]  # fmt: skip
    found = open_labeller(tmp_path / "out").label(texts).probabilities
    assert np.abs(found - model.predict(texts, threads=pool).probabilities).max() < CLOSE


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("llama", {"quantize": "nf4"}), ("llama", {"look_ahead": True}), ("bert", {"pooling": "cls"})],
)
def test_bases_that_were_changed_are_written_as_they_are(kind, settings, base_of, pool, tmp_path):
    base = base_of(kind, **settings)
    write(models.labeller(base, members=2), tmp_path / "out")
    assert _differ(models.labeller(base, members=2), tmp_path / "out", pool) < CLOSE


def test_a_model_in_bfloat16_is_written_in_float32(base_of, pool, tmp_path):
    base = base_of("bert", precision="bfloat16")
    before = [tensor.clone() for tensor in base.network.state_dict().values()]
    model = models.labeller(base, members=2)
    write(model, tmp_path / "out")
    checks = prove(tmp_path / "out", model, models.TEXTS, threads=pool)
    assert all(check.passed for check in checks)
    near = next(check for check in checks if check.name == "probabilities")
    assert (near.limit, 0 < near.value < 0.05) == (None, True), "told, not judged"
    assert all(
        torch.equal(one, other) and one.dtype == other.dtype
        for one, other in zip(before, base.network.state_dict().values(), strict=True)
    ), "the model itself stays as it was"


def test_the_same_model_gives_the_same_files(base_of, tmp_path):
    model = models.labeller(base_of("bert"), members=2, ngrams=True)
    for name in "ab":
        write(model, tmp_path / name)
    assert read_sums(tmp_path / "a") == read_sums(tmp_path / "b")
    assert sorted(read_sums(tmp_path / "a")) == [
        "fucina.json", "lexical.safetensors", "lexicon.json", "model.onnx", "tokenizer.json",
        "tokenizer_config.json"]  # fmt: skip


def test_layers_that_members_share_are_there_once(base_of, tmp_path):
    sizes = [
        write(models.labeller(base_of("bert"), members=k), tmp_path / str(k)).bytes["model.onnx"]
        for k in (1, 5)
    ]
    alone = models.labeller(base_of("bert"), layers="all")
    every = write(alone, tmp_path / "all").bytes["model.onnx"]
    assert sizes[1] < 3 * every, "five members of one layer of three each"
    assert sizes[0] < sizes[1]


def test_many_weights_lie_beside_the_graph(base_of, tmp_path):
    model = models.labeller(base_of("bert"))
    graph = as_graph(Together(model.base, model.weigher.stacks, tokens=False), vocabulary=36)
    save_graph(graph, tmp_path / "one.onnx")
    save_graph(graph, tmp_path / "two.onnx", most_bytes=1000)
    assert {path.name for path in tmp_path.iterdir()} == {"one.onnx", "two.onnx", "two.onnx.data"}
    given = {"ids": np.array([[2, 5, 3]]), "mask": np.ones((1, 3), dtype=np.int64)}
    first, second = (
        open_graph(tmp_path / name).run(None, given)[0] for name in ("one.onnx", "two.onnx")
    )
    assert np.array_equal(first, second)


def test_a_proof_compares_tokens_probabilities_and_answers(base_of, pool, tmp_path):
    model = models.labeller(base_of("bert"), members=2, ngrams=True)
    write(model, tmp_path / "out")
    checks = prove(tmp_path / "out", model, models.TEXTS, threads=pool)
    assert [(check.name, check.engine, check.cases) for check in checks] == [
        (name, "onnx", len(models.TEXTS)) for name in ("prompt tokens", "probabilities", "answers")
    ]
    assert all(check.passed for check in checks)
    facts = facts_of(tmp_path / "out")
    assert facts["files"]["model.onnx"]["sha256"] == read_sums(tmp_path / "out")["model.onnx"]
    assert {"onnx", "onnxruntime"} <= set(facts)


@pytest.mark.parametrize("kind", ["labels", "spans"])
def test_a_proof_finds_an_export_of_another_model(kind, base_of, pool, tmp_path):
    make = models.labeller if kind == "labels" else models.marker
    model = make(base_of("bert"))
    write(model, tmp_path / "out")
    stack = (model.weigher if kind == "labels" else model).stacks[0]
    stack.bind(stack.adapters, -stack.heads)
    failed = {
        check.name: check.note
        for check in prove(tmp_path / "out", model, models.TEXTS, threads=pool)
        if not check.passed
    }
    assert "answers" in failed
    assert failed["answers"].startswith("rows that differ: ")


ROWS = [f"{text} {word}" for text in models.TEXTS for word in
        ("", "il", "un", "pacco", "ordine", "città", "app", "nero", "stato", "soldi", "reso")]  # fmt: skip


def _with_heads(model, change):
    """The same model with other heads: `change` takes weights k x d x c and biases k x 1 x c."""
    stack = (model.weigher if isinstance(model, Ensemble) else model).stacks[0]
    split = stack.base.width * stack.labels
    weights = stack.heads[:, :split].view(stack.members, stack.base.width, stack.labels).clone()
    biases = stack.heads[:, split:].view(stack.members, 1, stack.labels).clone()
    change(weights, biases)
    stack.bind(stack.adapters, torch.cat([weights.flatten(1), biases.flatten(1)], dim=1))
    return model


@pytest.mark.parametrize("kind", ["labels", "spans"])
def test_eight_bits_are_kept_where_they_answer_alike(kind, base_of, pool, tmp_path):
    make, opened = (
        (models.labeller, open_labeller) if kind == "labels" else (models.marker, open_marker)
    )
    model = make(base_of("bert"), members=2)
    if kind == "spans":  # most words are none, as in texts
        _with_heads(model, lambda _, biases: biases[..., 0].add_(4))
    written = write(model, tmp_path / "out", int8_rows=ROWS)
    (check,) = written.checks
    assert (check.name, check.engine, check.cases) == (
        "answers as in float32", "onnx int8", len(ROWS))  # fmt: skip
    assert check.limit == 0.99 < check.value
    assert written.bytes["model.int8.onnx"] < written.bytes["model.onnx"]
    assert opened(tmp_path / "out").name == "onnx int8"
    assert opened(tmp_path / "out", precision="float32").name == "onnx"
    told = prove(tmp_path / "out", model, ROWS, threads=pool)
    assert {one.engine for one in told} == {"onnx", "onnx int8"}
    assert all(one.passed for one in told)


def test_eight_bits_that_change_answers_are_not_written(base_of, pool, tmp_path):
    model = models.labeller(base_of("bert"))
    states = torch.from_numpy(embed(model.base, pool, ROWS)).double()

    def told_by_the_least(weights, biases):
        """Labels hang on the direction in which texts differ least."""
        middle = states.mean(dim=0)
        least = torch.linalg.svd(states - middle).Vh[-1]
        weights.zero_()
        weights[..., 0] = 1e4 * least
        biases[..., 0] = -1e4 * (middle @ least) * states.shape[1] ** 0.5
        biases[..., 1:] = torch.tensor([0.0, -1e3])

    stack = model.weigher.stacks[0]
    stack.bind(stack.adapters * 0, stack.heads)
    _with_heads(model, told_by_the_least)
    written = write(model, tmp_path / "out", int8_rows=ROWS)
    (check,) = written.checks
    assert (check.limit, check.passed) == (None, True)
    assert check.value < 0.99
    assert check.note.startswith("not written: more than 99% must be equal")
    assert "model.int8.onnx" not in written.bytes
    assert open_labeller(tmp_path / "out").name == "onnx"


def test_few_rows_show_nothing(base_of, tmp_path):
    written = write(models.labeller(base_of("bert")), tmp_path / "out", int8_rows=ROWS[:99])
    assert written.checks[0].note.endswith("it takes 100 rows to show it")
    assert "model.int8.onnx" not in written.bytes


def test_models_without_heads_of_classes_are_refused(base_of, load_decoder, tmp_path):
    text = json.dumps({"task": "chat", "name": "a", "data": {"train": "-"}})
    recipe, _ = parse(text, ["model.base=favilla"])
    writer = saved.untrained_writer(recipe, load_decoder("llama"), workers=1)
    with pytest.raises(RecipeError, match="writes text") as error:
        write(writer, tmp_path / "out")
    assert "gguf" in error.value.fix
    model = models.labeller(base_of("bert"))
    named = replace(model, weigher=ByName(model.base, model.weigher.stacks, None))
    with pytest.raises(RecipeError, match="by their names") as error:
        write(named, tmp_path / "out")
    assert "merged" in error.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_counterpart_leaves_nothing(base_of, tmp_path, monkeypatch):
    model = models.labeller(base_of("bert"))

    def odd(_, ids, mask):
        return torch.linalg.eigvals(ids.float() @ mask.float().T)

    monkeypatch.setattr(Together, "forward", odd)
    with pytest.raises(ModelError, match="cannot be written as ONNX"):
        write(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(base_of, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match="is there already"):
        write(models.labeller(base_of("bert")), tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="cannot write"):
        write(models.labeller(base_of("bert")), tmp_path / "file" / "out")
