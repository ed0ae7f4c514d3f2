"""An export answers by itself: without PyTorch, from several threads, and not when it is damaged."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import onnx_models as models
from fucina.engines.onnx import open_labeller, open_marker
from fucina.errors import MissingExtraError, ModelError
from fucina.export.onnx import write
from fucina.models.sums import write_sums
from fucina.records import Spans


@pytest.fixture(scope="module")
def exports(tokenizer_folder, tmp_path_factory):
    """Folders of a classifier and a tagger, both of three members with n-grams."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "base").mkdir()
    models.make_folder("bert", folder / "base", tokenizer_folder)
    base = models.load_base(folder / "base")
    write(models.labeller(base, members=3, ngrams=True, threshold=0.5), folder / "labels")
    write(models.marker(base, members=3, forms=True), folder / "spans")
    return folder


@pytest.fixture
def damaged(exports, tmp_path):
    """A copy of the classifier, to be damaged."""
    return shutil.copytree(exports / "labels", tmp_path / "labels")


def test_nothing_of_training_is_loaded_to_answer(exports):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from fucina.engines.onnx import open_labeller, open_marker\n"
        f"folder = Path({str(exports)!r})\n"
        "print(open_labeller(folder / 'labels').label(['dove è il pacco', 'perché']).answers)\n"
        "print(len(open_marker(folder / 'spans').mark(['dove è il pacco']).answers))\n"
        "heavy = 'torch transformers peft onnx pyarrow accelerate matplotlib pandas'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    answers, count, loaded = done.stdout.splitlines()
    assert set(json.loads(answers.replace("'", '"'))) <= set(models.LABELS), done.stderr
    assert (count, loaded) == ("1", "[]")


def test_no_text_has_no_answer(exports):
    found = open_labeller(exports / "labels").label([])
    assert found.probabilities.shape == (0, 3)
    assert (found.answers, found.threshold) == ([], 0.5)
    marked = open_marker(exports / "spans").mark([])
    assert marked == Spans((), (), (), (), (), models.TYPES)


def test_a_text_is_answered_alone_as_with_others(exports):
    engine = open_labeller(exports / "labels")
    together = engine.label(models.TEXTS).probabilities
    alone = np.concatenate([engine.label([text]).probabilities for text in models.TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    marker = open_marker(exports / "spans")
    one_by_one = [marker.mark([text]).answers[0] for text in models.TEXTS]
    assert list(marker.mark(models.TEXTS).answers) == one_by_one


def test_several_threads_may_ask_at_once(exports):
    engine, marker = open_labeller(exports / "labels"), open_marker(exports / "spans")
    texts = [f"{text} {word}" for text in models.TEXTS for word in ("il", "pacco", "città", "è")]
    expected = [engine.label([text]).probabilities for text in texts]
    marked = [marker.mark([text]).answers for text in texts]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda text: engine.label([text]).probabilities, texts))
        spans = list(threads.map(lambda text: marker.mark([text]).answers, texts))
    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))
    assert spans == marked


def test_a_long_text_is_cut_where_training_cuts_it(exports):
    engine = open_labeller(exports / "labels")
    cut = engine.export.facts.max_length_tokens
    long = "voglio " * 100
    ids = engine.export.words([long], truncation=True)["input_ids"][0]
    whole = engine.export.words([long])["input_ids"][0]
    assert len(ids) == cut < len(whole)
    assert ids[-1] == whole[-1], "the closing token stays"


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "lexical.safetensors"])
def test_a_file_that_was_cut_is_named(name, damaged):
    content = (damaged / name).read_bytes()
    (damaged / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=f"is damaged: {name} missing, cut or changed") as error:
        open_labeller(damaged)
    assert "Copy it again" in error.value.fix


def test_a_changed_label_is_seen(damaged):
    facts = damaged / "fucina.json"
    facts.write_text(facts.read_text("utf-8").replace("rimborso", "ordine"), "utf-8")
    with pytest.raises(ModelError, match=r"fucina\.json missing, cut or changed"):
        open_labeller(damaged)


def test_a_missing_file_is_named(damaged):
    (damaged / "lexicon.json").unlink()
    with pytest.raises(ModelError, match=r"lexicon\.json missing"):
        open_labeller(damaged)


def test_a_list_of_sums_may_not_point_elsewhere(damaged):
    (damaged / "sums.json").write_text('{"../../etc/hostname": "0"}', "utf-8")
    with pytest.raises(ModelError, match="is damaged"):
        open_labeller(damaged)


@pytest.mark.parametrize("name", ["sums.json", "fucina.json"])
def test_a_folder_of_something_else_is_refused(name, damaged):
    (damaged / name).unlink()
    with pytest.raises(ModelError, match="is no ONNX export"):
        open_labeller(damaged)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("model.onnx", b"no graph", r"model\.onnx cannot be opened"),
     ("tokenizer.json", b"{}", r"tokenizer\.json cannot be read"),
     ("lexical.safetensors", b"12345678", r"lexical\.safetensors cannot be read"),
     ("lexicon.json", b"[", r"lexical\.safetensors cannot be read"),
     ("fucina.json", b'{"format": 1}', r"fucina\.json cannot be read"),
     ("fucina.json", b'{"format": 99, "fucina": "9.0"}', r"written by fucina 9\.0")],
)  # fmt: skip
def test_files_of_another_kind_are_refused_though_their_sums_are_right(
    name, content, said, damaged
):
    (damaged / name).write_bytes(content)
    write_sums(damaged)
    with pytest.raises(ModelError, match=said) as error:
        open_labeller(damaged)
    assert error.value.fix


def test_a_graph_of_another_model_is_refused(damaged):
    from onnx import TensorProto, helper, save

    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "other",
        [helper.make_tensor_value_info("x", kind, [1])],
        [helper.make_tensor_value_info("y", kind, [1])],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(made, str(damaged / "model.onnx"))
    write_sums(damaged)
    with pytest.raises(ModelError, match="gives no answer"):
        open_labeller(damaged)


def test_what_it_does_is_told_where_the_other_is_wanted(exports):
    with pytest.raises(ModelError, match="marks spans") as error:
        open_labeller(exports / "spans")
    assert "open_marker" in error.value.fix
    with pytest.raises(ModelError, match="labels texts"):
        open_marker(exports / "labels")


def test_eight_bits_that_were_not_written_cannot_be_asked_for(exports):
    with pytest.raises(ModelError, match=r"has no model\.int8\.onnx") as error:
        open_labeller(exports / "labels", precision="int8")
    assert "float32" in error.value.fix


def test_without_the_runtime_its_extra_is_named(exports, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match="onnxruntime is not installed"):
        open_labeller(exports / "labels")
