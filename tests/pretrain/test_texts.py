"""Texts become tokens once, and nothing that is cut, changed or no text is ever learnt."""

import gzip
import json
import lzma

import numpy as np
import pytest

from fucina.errors import DataError
from fucina.pretrain.corpus import documents, texts_for_words
from fucina.pretrain.recipe import parse
from fucina.pretrain.texts import prepare

LINES = [
    "Il faro sta sulla punta, e di notte si vede da lontano.",
    "Perché la barca non è tornata? Nessuno lo sa dire.",
    "The keeper climbs the stairs at 7 and lights the lamp.",
]
RECIPE = """
name: a
corpus:
  - {path: it.jsonl.xz, language: it, domain: sea, held_out: held.jsonl}
  - {path: en.jsonl.gz, language: en, domain: sea, passes: 2}
words: {vocabulary: 400}
training: {tokens: 1000}
"""


def _jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    rows = [{"id": str(n), "text": f"{LINES[n % 2]} {n}"} for n in range(40)]
    with lzma.open(tmp_path / "it.jsonl.xz", "wt", encoding="utf-8") as file:
        file.write(_jsonl(rows))
    turns = [
        {"role": "user", "content": "Who lights it?"},
        {"role": "assistant", "content": LINES[2]},
    ]
    with gzip.open(tmp_path / "en.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(_jsonl([{"messages": turns}] * 20))
    (tmp_path / "held.jsonl").write_text(_jsonl([{"text": LINES[0]}]), encoding="utf-8")
    return tmp_path


def test_documents_become_tokens_and_tokens_the_same_documents(folder):
    texts = prepare(parse(RECIPE), folder, folder / "tokens")
    said = [texts.tokenizer.decode(ids.astype(np.int64)) for ids in texts.tokens]
    first = said[0].split("<|endoftext|>")
    assert first[:3] == [f"{LINES[n % 2]} {n}" for n in range(3)]
    assert (len(first), first[-1]) == (41, "")
    assert said[1].startswith(
        f"<|im_start|>user\nWho lights it?<|im_end|>\n<|im_start|>assistant\n{LINES[2]}<|im_end|>\n"
    )
    own = sum(len(f"{LINES[n % 2]} {n}".encode()) for n in range(40))
    assert (texts.shards[0].bytes, texts.shards[0].source) == (own, 0)
    (held,) = texts.held_out
    assert (held.name, held.language, held.bytes) == ("it", "it", len(LINES[0].encode()))
    # Turns are single tokens, digits stand alone.
    assert len(texts.tokenizer("<|im_start|>")["input_ids"]) == 1
    assert texts.tokenizer.tokenize("1987") == list("1987")


def test_the_same_texts_are_not_turned_twice_and_changed_ones_are(folder):
    prepare(parse(RECIPE), folder, folder / "tokens")
    before = (folder / "tokens" / "00-000.u16").stat().st_mtime_ns
    prepare(parse(RECIPE), folder, folder / "tokens")
    assert (folder / "tokens" / "00-000.u16").stat().st_mtime_ns == before
    (folder / "held.jsonl").write_text(_jsonl([{"text": LINES[1]}]), encoding="utf-8")
    texts = prepare(parse(RECIPE), folder, folder / "tokens")
    assert texts.held_out[0].bytes == len(LINES[1].encode())


@pytest.mark.parametrize("spoil", ["cut", "changed", "gone"])
def test_a_piece_of_tokens_that_is_not_what_was_written_is_refused(folder, spoil):
    prepare(parse(RECIPE), folder, folder / "tokens")
    piece = folder / "tokens" / "01-000.u16"
    content = bytearray(piece.read_bytes())
    if spoil == "gone":
        piece.unlink()
    else:
        content[7] ^= 1
        piece.write_bytes(content[:-10] if spoil == "cut" else content)
    with pytest.raises(DataError, match=r"01-000\.u16") as caught:
        prepare(parse(RECIPE), folder, folder / "tokens")
    assert "Delete" in caught.value.fix


def test_words_that_do_not_fit_the_tokens_are_refused(folder):
    prepare(parse(RECIPE), folder, folder / "tokens")
    words = folder / "tokens" / "words" / "tokenizer.json"
    made = json.loads(words.read_text(encoding="utf-8"))
    made["model"]["merges"] = made["model"]["merges"][:-1]
    words.write_text(json.dumps(made), encoding="utf-8")
    with pytest.raises(DataError, match="not those that the pieces of tokens were made with"):
        prepare(parse(RECIPE), folder, folder / "tokens")


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.jsonl.xz", "cut", "cut or damaged behind line"),
    ("a.jsonl.gz", "cut", "cut or damaged behind line"),
    ("a.jsonl", '{"text": "ciao"}\n{"text": "ad', "line 2 is not JSON"),
    ("a.jsonl", '{"title": "ciao"}\n', "line 1 has neither text nor messages"),
    ("a.jsonl", '{"text": " "}\n', "line 1 has neither text nor messages"),
    ("a.jsonl", '{"messages": [{"role": "user"}]}\n', "line 1 has neither text nor messages"),
    ("a.jsonl", b'{"text": "perch\xe9"}\n', "not UTF-8"),
    ("gone.jsonl", None, "no corpus"),
])  # fmt: skip
def test_a_bad_file_is_named_with_its_line(tmp_path, name, content, said):
    path = tmp_path / name
    if content == "cut":
        opener = lzma.open if name.endswith("xz") else gzip.open
        generator = np.random.default_rng(0)
        with opener(path, "wt", encoding="utf-8") as file:
            file.write(_jsonl({"text": str(generator.random(50).tolist())} for _ in range(200)))
        path.write_bytes(path.read_bytes()[:-2000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(documents(path))
    assert said in caught.value.problem
    assert name in caught.value.problem


def test_words_are_learnt_from_as_much_of_each_language(folder):
    files = [("it", folder / "it.jsonl.xz"), ("en", folder / "en.jsonl.gz")]
    found = list(texts_for_words(files, 600))
    english = sum(len(text) for text in found if "lamp" in text or "lights" in text)
    assert sum(map(len, found)) == 600
    assert english == 300
