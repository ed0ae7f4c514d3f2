"""Every format gives the same examples, and every broken file a line and a fix."""

import csv
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fucina import data, reading
from fucina.data.written import to_messages
from fucina.errors import DataError, RecipeError
from fucina.recipe import parse
from fucina.tasks import get

ROWS = [
    ("Perché l'ordine non è arrivato?", "ordine"),
    ('Mi ha detto "aspetta", poi più niente; uffa', "ordine"),
    ("Voglio i soldi\nindietro", "rimborso"),
]
COLUMNS = {"text": "text", "label": "label"}


def _load(path, columns=None, **options):
    return data.load(path, get("classification"), columns or COLUMNS, **options)


def _write(folder, kind):
    path = folder / f"rows.{kind.split('-')[0]}"
    if kind in {"csv", "tsv", "csv-semicolon"}:
        delimiter = {"csv": ",", "tsv": "\t", "csv-semicolon": ";"}[kind]
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *ROWS])
    elif kind == "parquet":
        import pyarrow
        from pyarrow import parquet

        texts, labels = zip(*ROWS, strict=True)
        parquet.write_table(pyarrow.table({"text": list(texts), "label": list(labels)}), path)
    else:
        shape = {
            "jsonl": lambda t, y: {"text": t, "label": y},
            "json": lambda t, y: {"text": t, "label": y},
            "jsonl-messages": lambda t, y: {"messages": [
                {"role": "system", "content": "Classify."}, {"role": "user", "content": t},
                {"role": "assistant", "content": y}]},
            "jsonl-sharegpt": lambda t, y: {"conversations": [
                {"from": "human", "value": t}, {"from": "gpt", "value": y}]},
            "json-alpaca": lambda t, y: {"instruction": "Classify.", "input": t, "output": y},
        }[kind]  # fmt: skip
        rows = [shape(t, y) for t, y in ROWS]
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
        path.write_text(
            json.dumps(rows, ensure_ascii=False)
            if kind.startswith("json-") or kind == "json"
            else lines,
            encoding="utf-8",
        )
    return path


@pytest.mark.parametrize("kind", [
    "csv", "csv-semicolon", "tsv", "jsonl", "json", "parquet", "jsonl-messages", "jsonl-sharegpt",
    "json-alpaca",
])  # fmt: skip
def test_every_format_gives_the_same_examples(kind, tmp_path):
    dataset = _load(_write(tmp_path, kind))
    assert list(zip(dataset.prompts, dataset.targets, strict=True)) == ROWS


def test_messages_come_back_as_they_went_out(tmp_path):
    dataset = _load(_write(tmp_path, "csv"))
    path = tmp_path / "out.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in to_messages(dataset)), encoding="utf-8")
    assert _load(path).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(("key", "no", "yes"), [
    ("weight", 0, 1), ("loss_weight", 0.0, 1.0), ("train", False, True), ("training", False, None),
])  # fmt: skip
def test_turns_that_a_row_excludes_are_not_learnt(tmp_path, key, no, yes):
    """As OpenAI, LLaMA-Factory and Axolotl write them; and so they are written again."""
    turns = [
        {"role": "user", "content": "Com'è il mare?", key: no},
        {"role": "assistant", "content": "Boh.", key: no},
        {"role": "user", "content": "Dai!"},
        {"role": "assistant", "content": "Grosso.", key: yes},
        {"role": "user", "content": "E domani?"},
        {"role": "assistant", "content": "Boh.", key: no},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": turns}), encoding="utf-8")
    for _ in range(2):
        dataset = data.load(path, get("chat"), {})
        (row,) = dataset.examples
        spoken = [turn for turn in row.messages if turn.role == "assistant"]
        assert [(turn.content, turn.learnt) for turn in spoken] == [
            ("Boh.", False), ("Grosso.", True)
        ]  # fmt: skip
        assert row.target == "Grosso."
        path.write_text(json.dumps(to_messages(dataset)[0]), encoding="utf-8")


def test_parts_of_turns_are_read_and_thoughts_are_told(tmp_path):
    call = {"name": "marea", "arguments": {"porto": "Genova"}}
    row = {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "La marea?"}]},
        {"role": "assistant", "content": [
            {"type": "reasoning", "value": "Devo chiamare."},
            {"type": "tool_call", "value": json.dumps(call)},
        ]},
        {"role": "tool", "content": [{"type": "text", "value": "alta"}]},
        {"role": "assistant", "reasoning_content": "Ecco.", "content": "È alta."},
    ]}  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    dataset = data.load(path, get("chat"), {})
    (example,) = dataset.examples
    assert [turn.content for turn in example.messages] == ["La marea?", "", "alta", "È alta."]
    assert example.messages[1].tool_calls == ({"type": "function", "function": call},)
    (finding,) = dataset.findings
    assert "2 turns of 1 rows hold thoughts" in finding.message
    assert finding.rows == ("a.jsonl:1",)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n",;\t'), min_size=1),
        st.sampled_from(["è", "b"]),
    ).filter(lambda row: row[0].strip()),
    min_size=1, max_size=5,
))  # fmt: skip
def test_a_csv_file_keeps_every_character(tmp_path, rows):
    path = tmp_path / "any.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([("text", "label"), *rows])
    dataset = _load(path)
    assert list(zip(dataset.prompts, dataset.targets, strict=True)) == rows


def test_origins_name_the_line_where_a_row_begins(tmp_path):
    dataset = _load(_write(tmp_path, "csv"))
    assert [example.origin for example in dataset.examples] == [
        "rows.csv:2",
        "rows.csv:3",
        "rows.csv:4",
    ]


def test_synonyms_of_columns_are_found(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("utterance,intent\nciao,saluto\n", encoding="utf-8")
    assert _load(path).targets == ["saluto"]


@pytest.mark.parametrize(("name", "content", "message", "fix"), [
    ("a.csv", b"", "is empty", "rows to learn from"),
    ("a.csv", b"text,label\n", "no rows", "rows to learn from"),
    ("a.csv", b"testo libero,label\nciao,a\n", "no column 'text'", "data.text"),
    ("a.csv", b"text,label\nciao,a,b\n", "line 2: 3 fields", "quotes"),
    ("a.csv", b'text,label\nciao,"a\n', "line", "quotes"),
    ("a.csv", b"text,label\nciao,\n", "1 row(s) have no label (line 2)", "delete"),
    ("a.csv", "text,label\nciao,a\nperché,b\n".encode("latin-1"), "line 3, byte 6", "cp1252"),
    ("a.csv", "text,label\nciao,a\n".encode("utf-16"), "UTF-16", "utf-16"),
    ("a.csv", b"text,label\nci\x00ao,a\n", "not a text file", "CSV"),
    ("a.jsonl", b'{"text": "ciao", "label": "a"}\n{"text": \n', "line 2, column", "one JSON object"),
    ("a.jsonl", b'["ciao"]\n', "list where an object", "objects"),
    ("a.json", b'{"text": 1', "not JSON", "array"),
    ("a.parquet", b"PAR1 nonsense", "not a readable Parquet", "CSV"),
    ("a.xlsx", b"PK", "unknown suffix", ".csv"),
    ("a.jsonl", b'{"messages": [{"role": "user", "content": "x"}]}\n', "no assistant turn", "answer"),
    ("a.jsonl", b'{"messages": [{"role": "boss", "content": "x"}]}\n', "unknown role 'boss'", "system"),
    ("a.jsonl", b'{"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}\n',
     "line 1: weight of a turn is 0.5", "1 for a turn that is learnt"),
    ("a.jsonl", b'{"messages": [{"role": "assistant", "content": "x", "train": false}]}\n',
     "nothing is learnt", "weight 1"),
    ("a.jsonl", b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}\n',
     "no text (image_url)", "only text"),
])  # fmt: skip
def test_a_broken_file_is_named_with_line_and_fix(tmp_path, name, content, message, fix):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        _load(tmp_path / name)
    assert message in caught.value.problem
    assert fix in caught.value.fix


def test_the_stated_other_encoding_works(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nperché no,a\n".encode("cp1252"))
    assert _load(path, encoding="cp1252").prompts == ["perché no"]
    path.write_bytes("text,label\nperché no,a\n".encode("utf-16"))
    assert _load(path, encoding="utf-16").prompts == ["perché no"]


def test_a_missing_file_offers_the_nearest_name(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        _load(tmp_path / "trian.csv")
    assert "train.csv" in caught.value.fix


def test_a_line_of_50_mib_is_refused_by_its_number(tmp_path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "ciao", "label": "a"}\n{"text": "' + b"x" * (50 * 2**20) + b'"}\n')
    with pytest.raises(DataError, match="line 2 is longer than 10 MiB"):
        _load(path)


def test_numbers_as_labels_become_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": 1}\n{"text": "y", "label": 2.0}\n', encoding="utf-8")
    assert _load(path).targets == ["1", "2"]


def _recipe(folder, task, spoken, test, **settings):
    turns = [{"role": "user", "content": "Perché?"}, {"role": "assistant", "content": "#no"}]
    row = {"messages": turns} if spoken else {"testo": "Perché?", "coda": "#no"}
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (folder / "test.jsonl").write_text(json.dumps(test) + "\n", encoding="utf-8")
    settings = {"train": "train.jsonl", "test": "test.jsonl", **settings}
    return parse(json.dumps({"task": task, "name": "a", "data": settings}))[0]


COLUMNS_OF = {
    "classification": {"text": "testo", "label": "coda"},
    "chat": {"columns": {"prompt": "testo", "answer": "coda"}},
    "hashtags": {"columns": {"text": "testo", "hashtags": "coda"}},
}
ALPACA = {"instruction": "Rispondi.", "input": "E poi?", "output": "Basta."}


@pytest.mark.parametrize("task", COLUMNS_OF)
def test_columns_that_no_file_has_are_refused_and_those_of_one_file_are_not(task, tmp_path):
    recipe = _recipe(tmp_path, task, True, ALPACA, **COLUMNS_OF[task])
    with pytest.raises(RecipeError, match=r"is read as messages.*=testo.*do nothing.*data.format"):
        reading.read_subject(recipe, tmp_path)
    for spoken, test in ((True, {"testo": "E poi?", "coda": "#si"}), (False, ALPACA)):
        recipe = _recipe(tmp_path, task, spoken, test, **COLUMNS_OF[task])
        assert reading.read_subject(recipe, tmp_path).test.prompts == ["E poi?"]


def test_a_column_that_turns_may_have_beside_them_is_heard(tmp_path):
    recipe = _recipe(tmp_path, "chat", True, ALPACA, columns={"system": "voce"})
    with pytest.raises(RecipeError, match=r"data.columns.system=voce does nothing"):
        reading.read_subject(recipe, tmp_path)  # Alpaca has no columns at all
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"test": None})})
    assert len(reading.read_subject(recipe, tmp_path).train) == 1
