"""What is written as ONNX answers as the trained model does."""

import numpy as np
import pytest

import onnx_models as models
from fucina.engines.onnx import open_labeller, open_marker
from fucina.export.onnx import write
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
     ("electra", 1), ("modernbert", "all"), ("llama", 1), ("gemma3", 2), ("gpt2", 1)],
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
