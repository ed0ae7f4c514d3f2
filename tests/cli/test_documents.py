"""fucina index and fucina ask as people type them."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress

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
        (["ask", "indexes/carte", "answer.by=favilla", "--questions", "q.csv"], "no file q.csv", "Check"),
        (["ask", "indexes/carte", "x", "answer.session=s"], "answer.session is for a model", "answer.by="),
        (["ask", "indexes/carte", "x", "--calibrate"], "are for a file of questions", "--questions"),
        (["ask", "indexes/carte", "x", "judge.url=http://localhost/v1", "judge.model=m"], "are for a file", "--questions"),
        (["ask", "indexes/carte", "judge.url=http://localhost/v1"], "judge: model is missing", "add model"),
        (["ask", "indexes/carte"], "there is no question", "Write one"),
        (["ask", "indexes/carte", "\udcff"], "not UTF-8", "save it as UTF-8"),
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


@pytest.mark.usefixtures("typed")
def test_lines_of_a_pipe_are_answered_in_turn(tmp_path):
    lines = "Perché l'ordine arriva?\n\n  il rimborso costa quanto\n"
    words = ("ask", "indexes/carte", "answer.sure=0")
    done = run(*words, cwd=tmp_path, input=lines)
    assert done.returncode == 0, done.stderr
    one, two = done.stdout.split("> ")[1:]
    assert one.startswith("Perché l'ordine arriva?\n«Perché l'ordine arriva?» [1]\n")
    assert two.startswith("il rimborso costa quanto\n«il rimborso costa quanto voglio» [1]\n")
    facts = json.loads(run(*words, "--json", cwd=tmp_path, input=lines).stdout)
    assert [row["question"] for row in facts] == [
        "Perché l'ordine arriva?", "il rimborso costa quanto",
    ]  # fmt: skip
    assert facts[1]["sources"][0]["file"] == "carte/b.txt"


@pytest.mark.usefixtures("typed")
def test_a_model_remembers_what_was_asked_before(endpoint, tmp_path):
    endpoint.reply = lambda content: f"Risposta {len(endpoint.requests)} [1]."
    (tmp_path / "ripresa.md").write_text("Ieri: pacchi.", "utf-8")
    done = run(
        "ask", "indexes/carte", "answer.by=m", f"answer.url={endpoint.url}", "answer.sure=0",
        "answer.session=ripresa.md", cwd=tmp_path, input="il pacco è nero?\ne il rimborso?\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = ([turn["content"] for turn in r["messages"]] for r in endpoint.requests)
    assert len(first) == 2
    assert second[1:3] == ["il pacco è nero?", "Risposta 1."]
    assert all("Ieri: pacchi." in turns[-1] for turns in (first, second))
    assert second[-1].endswith("Question: e il rimborso?")


@pytest.mark.usefixtures("typed")
def test_a_pipe_ends_where_a_question_cannot_be_answered(endpoint, tmp_path):
    endpoint.script = ["Nero [1].", (404, {}, {"error": "no such model"})]
    done = run(
        "ask", "indexes/carte", "answer.by=m", f"answer.url={endpoint.url}", "answer.sure=0",
        cwd=tmp_path, input="il pacco è nero?\nil rimborso?\nil pacco?\n",
    )  # fmt: skip
    assert done.returncode == 2
    assert "Nero [1]." in done.stdout
    assert "answers 404" in done.stderr
    assert len(endpoint.requests) == 2


def _own_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Where the tests run in the background, Ctrl-C is ignored, and whoever they start inherits that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="a terminal of Unix")
@pytest.mark.parametrize("last", [b"\x04", b"\x03"])
@pytest.mark.usefixtures("typed")
def test_a_terminal_asks_until_it_is_closed(tmp_path, last):
    import pty

    main, other = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "fucina", "ask", "indexes/carte", "answer.sure=0"],
        stdin=other, stdout=other, stderr=other, cwd=tmp_path, start_new_session=True,
        preexec_fn=_own_terminal,
    ) as process:  # fmt: skip
        os.close(other)
        shown = ""

        def until(text):
            nonlocal shown
            while text not in shown:
                shown += os.read(main, 4096).decode()
            before, _, shown = shown.partition(text)
            return before

        until("> ")
        os.write(main, b"\nil pacco\n")  # an empty line is no question
        assert "«Il pacco è nero.»" in until("line 3")
        until("> ")
        try:
            # Python sees a signal that comes just before it waits for a key at the next key only.
            assert _typed_until_it_ends(process, main, last) == 0
        finally:
            process.kill()
    os.close(main)


def _typed_until_it_ends(process, main, sign):
    for _ in range(30):
        os.write(main, sign)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(2)
    return None


def test_written_answers_are_judged(typed, endpoint, tmp_path):
    said = {
        "il pacco è nero?": "Il pacco è nero [1].",
        "il pacco è bianco?": "Il pacco è bianco [1] [9].",
        "il rimborso?": "NOT IN THE DOCUMENTS",
    }

    def reply(content):
        if content.startswith("{"):
            matter = json.loads(content)
            assert "| Perché l'ordine arriva? Il pacco è nero." in matter["before"]
            return json.dumps({"keeps": "bianco" not in matter["answer"], "why": ""})
        return said[content.split("Question: ")[-1]]

    endpoint.reply = reply
    rows = [
        {"question": "il pacco è nero?", "answer": "nero"},
        {"question": "il pacco è bianco?", "answer": "nero"},
        {"question": "il rimborso?"},
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = [
        "ask", "indexes/carte", "--questions", "q.jsonl", "answer.by=m", "answer.sure=0",
        f"answer.url={endpoint.url}",
    ]  # fmt: skip
    judge = [f"judge.url={endpoint.url}", "judge.model=j"]
    done = typed[0](*words, *judge, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)["all"]
    values = {name: score["value"] for name, score in facts["scores"].items()}
    assert values["answered"] == 1
    assert values["citation has it"] == 1
    assert values["answer has it"] == 0.5
    assert values["not in the documents, told so"] == 1
    assert values["citation invented"] == 0.5
    assert values["cites nothing"] == 0
    assert 0.5 < values["faithful by words"] < 1  # "bianco" is in no document
    assert values["faithful by the judge"] == 0.5
    assert facts["tokens"]["answer"] == 3
    assert facts["tokens"]["documents"] > 0
    assert 0 < facts["answer_ms"][0] <= facts["answer_ms"][1]
    # What was decided is not asked again.
    asked = len(endpoint.requests)
    shown = typed[0](*words, *judge).stdout
    assert len(endpoint.requests) == asked + 3
    assert "faithful by the judge" in shown
    assert "left out" not in shown
    shown = typed[0](*words).stdout
    assert "one answer takes " in shown
    assert "tokens of one answer, on average: system " in shown
    assert "faithful by a judge is left out" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_judge_that_is_gone_leaves_the_other_scores(typed, endpoint, tmp_path):
    endpoint.reply = lambda content: (404, {}, {"error": "no such judge"})
    (tmp_path / "q.jsonl").write_text('{"question": "il pacco?", "answer": "nero"}\n', "utf-8")
    done = typed[0](
        "ask", "indexes/carte", "--questions", "q.jsonl", "answer.sure=0", "--json",
        f"judge.url={endpoint.url}", "judge.model=j",
    )  # fmt: skip
    assert done.returncode == 0
    assert "answers that are not judged: 1; " in done.stderr
    assert "no such judge" in done.stderr
    scores = json.loads(done.stdout)["all"]["scores"]
    assert "faithful by the judge" not in scores
    assert scores["faithful by words"]["value"] == pytest.approx(1)


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
