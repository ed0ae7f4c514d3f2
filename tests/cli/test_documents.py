"""fucina index and fucina ask as people type them."""

import json
import threading
import time

import pytest

from command import run


@pytest.fixture
def typed(make_base, tmp_path):
    folder = tmp_path / "carte"
    folder.mkdir()
    (folder / "a.md").write_text("# Città\n\nPerché l'ordine arriva? Il pacco è nero.\n", "utf-8")
    (folder / "b.txt").write_text("il rimborso costa quanto voglio", "utf-8")

    def type_(*words):
        return run(*words, cwd=tmp_path)

    made = type_("index", "carte", f"embedder={make_base('bert')}")
    assert made.returncode == 0, made.stderr
    return type_, folder


def test_index_says_what_it_did_and_what_comes_next(typed):
    type_, folder = typed
    (folder / "c.md").write_text("nuovo", "utf-8")
    (folder / "b.txt").unlink()
    done = type_("index", "--to", "indexes/carte")
    assert done.stdout.splitlines() == [
        "+ carte/c.md", "- carte/b.txt", "indexes/carte: 2 documents, 2 chunks, 1 unchanged",
        'next: fucina ask indexes/carte "…"',
    ]  # fmt: skip
    facts = json.loads(type_("index", "--to", "indexes/carte", "--json").stdout)
    assert (facts["documents"], facts["chunks"], facts["unchanged"]) == (2, 2, 2)


def test_ask_quotes_with_file_heading_and_line(typed):
    type_, _ = typed
    done = type_("ask", "indexes/carte", "Perché l'ordine arriva?", "answer.sure=0")
    assert "«Perché l'ordine arriva?» [1]" in done.stdout
    assert "[1] carte/a.md › Città, line 3" in done.stdout
    facts = json.loads(type_("ask", "indexes/carte", "pacco", "answer.sure=0", "--json").stdout)
    assert facts["in_documents"]
    source = facts["sources"][facts["quotes"][0]["source"] - 1]
    assert (source["file"], source["first"], source["headings"]) == ("carte/a.md", 3, ["Città"])
    none = type_("ask", "indexes/carte", "pacco", "answer.sure=1")
    assert none.stdout.startswith("Not in the documents (")
    assert (
        json.loads(type_("ask", "indexes/carte", "pacco", "answer.sure=1", "--json").stdout)[
            "answer"
        ]
        is None
    )
    assert "Nothing in the documents" in type_("ask", "indexes/carte", "pacco", "tag=x").stdout


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        (["index"], "nothing to index", "Give files or folders"),
        (["index", "nowhere"], "no file or folder", "Check the path"),
        (["index", "carte", "chunk_token=9"], "chunk_token", "did you mean 'chunk_tokens'?"),
        (["index", "carte", "chunk_tokens=9"], "chunk_tokens", ""),
        (["index", "carte", "--to", "carte"], "is not empty and is no index", "another folder"),
        (["ask", "carte", "x"], "carte is no index", "fucina index DIR --to carte"),
        (["ask", "indexes/carte", " "], "there is no question", "Write one"),
        (["ask", "indexes/carte", "x", "since=ieri"], "since", ""),
        (["ask", "indexes/carte", "answer.by=favilla", "--questions", "q"], "no model answers", "Leave"),
        (["ask", "indexes/carte", "--questions", "no.jsonl"], "no file no.jsonl", "Check the path"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_fix(typed, words, problem, fix):
    done = typed[0](*words)
    assert done.returncode == 2
    assert problem in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_was_named_and_cannot_be_read_is_an_error_others_are_told(typed, tmp_path):
    type_, folder = typed
    (folder / "rotto.pdf").write_bytes(b"%PDF-1.4")
    done = type_("index", "--to", "indexes/carte")
    assert done.returncode == 0
    assert "not read: " in done.stdout
    assert "fix: Open it in a viewer" in done.stdout
    (tmp_path / "binario.md").write_bytes(b"\x00\x01")
    done = type_("index", "binario.md", "--to", "indexes/carte")
    assert done.returncode == 2
    assert "binario.md is not text" in done.stdout
    assert "2 documents" in done.stdout


def test_a_file_of_questions_is_judged_and_calibrates(typed, tmp_path):
    type_, _ = typed
    rows = [{"question": f"il pacco {n}", "answer": "pacco", "kind": "a"} for n in range(10)]
    rows += [{"question": f"xyz {n}", "kind": "b"} for n in range(10)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done = type_(
        "ask", "indexes/carte", "top=1", "--questions", "q.jsonl", "--group", "kind", "--calibrate"
    )
    assert done.returncode == 0, done.stderr
    assert "20 questions (10 that the documents answer)" in done.stdout
    assert "10 questions, b (0 that the documents answer)" in done.stdout
    assert "kept in the index" in done.stdout
    facts = json.loads(type_("ask", "indexes/carte", "--questions", "q.jsonl", "--json").stdout)
    assert facts["all"]["scores"]["not in the documents, told so"]["value"] == 1


def test_watch_follows_what_changes(typed, monkeypatch):
    from fucina.cli import index

    type_, folder = typed
    monkeypatch.setattr(index, "PAUSE_S", 0.05)
    naps = iter(range(40))
    true = time.sleep

    def nap(seconds):
        if seconds == 0.05 and next(naps, None) is None:
            raise KeyboardInterrupt
        true(seconds)

    monkeypatch.setattr(time, "sleep", nap)
    writer = threading.Timer(0.5, lambda: (folder / "nuovo.md").write_text("app blocca", "utf-8"))
    writer.start()
    done = type_("index", "--to", "indexes/carte", "--watch")
    writer.join()
    assert done.returncode == 130
    assert "+ carte/nuovo.md" in done.stdout
