"""Files with a word and its tag a line: what is read, and what is refused with its line."""

import json

import pytest

from fucina import data, tasks
from fucina.data.conll import read_conll
from fucina.errors import DataError
from fucina.records import Span

ENTITIES = tasks.get("entities")


def _read(tmp_path, text, name="a.conll", format="auto"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return data.load(path, ENTITIES, {}, format=format)


def _marked(dataset):
    return [
        [(span.label, row.prompt[span.start : span.end]) for span in row.spans]
        for row in dataset.examples
    ]


WRITTEN = [("PER", "Aldo Moro"), ("PER", "Anna"), ("LOC", "Bari")]


@pytest.mark.parametrize(
    "tags",
    [
        ["B-PER", "I-PER", "B-PER", "O", "B-LOC"],  # IOB2
        ["I-PER", "I-PER", "B-PER", "O", "I-LOC"],  # IOB1
        ["B-PER", "E-PER", "S-PER", "O", "S-LOC"],  # IOBES
        ["B-PER", "L-PER", "U-PER", "O", "U-LOC"],  # BILOU
    ],
)
def test_every_way_to_write_tags_gives_the_same_spans(tags, tmp_path):
    words = ["Aldo", "Moro", "Anna", "a", "Bari"]
    lines = [f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True)]
    # A sentence whose B follows an O tells IOB2 from IOB1.
    rows = _read(tmp_path, "\n".join(lines) + "\n")
    assert rows.examples[0].prompt == "Aldo Moro Anna a Bari"
    assert _marked(rows) == [WRITTEN]
    assert rows.findings == ()
    assert rows.format == "conll"


def test_bare_types_make_one_span_of_words_in_a_row(tmp_path):
    rows = _read(tmp_path, "a O\nAldo PER\nMoro PER\na O\nBari LOC\nRoma LOC\n", "kind.tsv")
    assert _marked(rows) == [[("PER", "Aldo Moro"), ("LOC", "Bari Roma")]]


def test_columns_docstarts_comments_and_lines_of_other_systems(tmp_path):
    text = (
        "\ufeff-DOCSTART- -X- O O\r\n\r\n# sent_id = 1\r\nEU NNP I-NP B-ORG\r\nrejects VBZ I-VP O\r\n"
        "\r\n\r\n# O\r\nRoma NN O B-LOC\r\n"
    )
    rows = _read(tmp_path, text)
    assert rows.prompts == ["EU rejects", "# Roma"]
    assert _marked(rows) == [[("ORG", "EU")], [("LOC", "Roma")]]
    assert rows.examples[1].origin == "a.conll:8"


def test_a_sequence_that_bio_does_not_allow_is_read_and_named_by_line(tmp_path):
    rows = _read(tmp_path, "Aldo\tB-PER\n\na\tO\nSan\tI-LOC\nRemo\tI-LOC\nAnna\tI-PER\n")
    assert _marked(rows) == [[("PER", "Aldo")], [("LOC", "San Remo"), ("PER", "Anna")]]
    (finding,) = rows.findings
    assert finding.severity == "warning"
    assert finding.rows == ("a.conll:4", "a.conll:6")
    found = data.audit(data.Subject(rows, answer="spans"))
    assert "tag_sequence" in {finding.check for finding in found}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("Aldo\tB-PER\nMoro\n", 2, "one field"),
        ("Aldo\tB-PER\nMoro\tI\n", 2, "has no type"),
        ("Aldo\tB-\nMoro\tI-PER\n", 1, "has no type"),
        ("Aldo\tB-PER\nMoro\tPER\n", 2, "is no tag of this file"),
        ("Aldo\tB-PER,B-LOC\n", 1, "several tags"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text, line, what, tmp_path):
    with pytest.raises(DataError, match=what) as caught:
        _read(tmp_path, text)
    assert f"line {line}:" in caught.value.problem
    assert caught.value.fix


def test_a_table_with_tabs_is_still_a_table(tmp_path):
    spans = json.dumps([{"start": 0, "end": 4, "label": "LOC"}])
    rows = _read(tmp_path, 'text\tspans\nRoma\t"' + spans.replace('"', '""') + '"\n', "a.tsv")
    assert _marked(rows) == [[("LOC", "Roma")]]


def test_labels_are_not_read_from_words_and_tags(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Roma\tB-LOC\n", encoding="utf-8")
    with pytest.raises(DataError, match="marks spans"):
        data.load(path, tasks.get("classification"), {})


def test_a_word_with_no_blank_line_at_the_end_is_kept(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("Roma B-LOC", encoding="utf-8")
    rows, _ = read_conll(path, "utf-8")
    assert rows == [(1, {"text": "Roma", "spans": [{"start": 0, "end": 4, "label": "LOC"}]})]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"text": "Roma", "spans": [{"start": 0, "end": 9, "label": "LOC"}]}, "outside the text"),
        ({"text": "Roma", "spans": [{"start": -1, "end": 2, "label": "LOC"}]}, "outside the text"),
        ({"text": "Roma", "spans": [{"start": 2, "end": 2, "label": "LOC"}]}, "holds nothing"),
        ({"text": "a Roma", "spans": [[0, 4, "LOC"], [2, 6, "PER"]]}, "overlap"),
        ({"text": "Roma", "spans": [{"start": 0, "end": 4}]}, "has no type"),
        ({"text": "Roma", "spans": [{"start": "0", "end": 4, "label": "LOC"}]}, "no places"),
        ({"text": "Roma", "spans": [{"start": 0.5, "end": 4, "label": "LOC"}]}, "no places"),
        ({"text": "Roma", "spans": ["LOC"]}, "is written as"),
        ({"text": "Roma", "spans": {"start": 0}}, "where a list was expected|are not JSON"),
        ({"text": "Roma", "spans": "[{"}, "not JSON"),
        ({"text": "   Roma", "spans": [[0, 2, "LOC"]]}, "nothing but spaces"),
    ],
)
def test_a_span_that_cannot_be_is_refused_with_its_row(row, what, tmp_path):
    good = json.dumps({"text": "Bari", "spans": []})
    with pytest.raises(DataError, match=what) as caught:
        _read(tmp_path, f"{good}\n{json.dumps(row)}\n", "a.jsonl")
    assert "a.jsonl, line 2:" in caught.value.problem


def test_spans_of_other_tools_are_read(tmp_path):
    rows = [
        {"text": "A Roma ", "entities": [{"start_offset": 2, "end_offset": 7, "type": "LOC"}]},
        {"text": "A Bari", "entities": [[2, 6, "LOC"], [2, 6, "LOC"]]},
        {"text": "niente", "entities": []},
        {"text": "nulla", "entities": None},
    ]
    found = _read(tmp_path, "\n".join(map(json.dumps, rows)) + "\n", "a.jsonl")
    assert [row.spans for row in found.examples] == [
        (Span(2, 6, "LOC"),),
        (Span(2, 6, "LOC"),),
        (),
        (),
    ]
    table = "text;spans\n" + 'A Roma;"[{""start"": 2, ""end"": 6, ""label"": ""LOC""}]"\n'
    assert _marked(_read(tmp_path, table, "a.csv")) == [[("LOC", "Roma")]]


def test_the_fingerprint_tells_spans_apart():
    from fucina.records import Dataset, Example

    one = Example("Roma e Roma", "LOC: Roma", spans=(Span(0, 4, "LOC"),))
    other = Example("Roma e Roma", "LOC: Roma", spans=(Span(7, 11, "LOC"),))
    assert Dataset("a", (one,)).fingerprint != Dataset("a", (other,)).fingerprint
