"""Checks of rows that answer with text: planted damage is found, healthy rows are left alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fucina import data, tasks
from fucina.config import RuleConfig
from fucina.data import Subject, audit, gate, repair
from fucina.data.audit import answers, constitution, cut_answers, roles, style
from fucina.data.audit.cut_answers import closed, open_end
from fucina.errors import DataError
from fucina.records import Dataset, Example, Message
from fucina.repaired import write_repaired

PUBLIC = Path(__file__).parents[4] / "shared" / "data"
NOUNS = (
    "il mare",
    "il faro",
    "la barca",
    "il molo",
    "la lampada",
    "il vento",
    "lo scoglio",
    "la rete",
)
VERBS = (
    "si vede da",
    "cambia con",
    "non teme",
    "aspetta",
    "ricorda",
    "protegge",
    "chiude",
    "porta con sé",
)
PLACES = (
    "la costa",
    "l'alba",
    "ogni tempesta",
    "la sera",
    "la città",
    "chi torna",
    "il porto vecchio",
)
ENDS = (
    "prima di notte",
    "da ventisette anni",
    "senza fretta",
    "come sempre",
    "perché è giusto così",
)


WORDS = sorted(
    {word for words in (NOUNS, VERBS, PLACES, ENDS) for each in words for word in each.split()}
)


def _text(rng, sentences=3):
    said = [
        " ".join(str(rng.choice(words)) for words in (NOUNS, VERBS, PLACES, ENDS)).capitalize()
        + "."
        for _ in range(sentences)
    ]
    return " ".join(said)


def _row(question, answer, origin="", system=None):
    turns = [Message("user", question), Message("assistant", answer)]
    if system:
        turns.insert(0, Message("system", system))
    return replace(Example.of_conversation(turns), origin=origin)


def _healthy(count=200, name="train", seed=0):
    """Three Italian sentences an answer, to questions that differ."""
    rng = np.random.default_rng(seed)
    return Dataset(
        name,
        tuple(
            _row(
                f"{' '.join(rng.permutation(WORDS)[:9])} {i}?",
                _text(rng, int(rng.integers(2, 5))),
                f"{name}:{i}",
            )
            for i in range(count)
        ),
    )


def _changed(rows, change, share=0.05, seed=1):
    """Rows with the answers of some changed, and the origins of these."""
    rng = np.random.default_rng(seed)
    chosen = {int(i) for i in rng.choice(len(rows), size=int(share * len(rows)), replace=False)}
    examples = tuple(
        replace(
            Example.of_conversation(
                [*e.messages[:-1], Message("assistant", change(e.target, rng))]
            ),
            origin=e.origin,
        )
        if i in chosen
        else e
        for i, e in enumerate(rows.examples)
    )
    return replace(rows, examples=examples), {rows.examples[i].origin for i in chosen}


def _subject(*examples, name="train", **more):
    healthy = _healthy().examples
    named = tuple(replace(e, origin=f"{name}:x{i}") for i, e in enumerate(examples))
    return Subject(Dataset(name, (*healthy, *named)), answer="text", **more)


def _found(findings, check):
    return next((finding for finding in findings if finding.check == check), None)


def _cut(text, rng):
    words = text.split()
    return " ".join(words[: int(rng.integers(4, len(words)))])


def test_healthy_conversations_have_no_findings():
    found = audit(Subject(_healthy(), None, _healthy(60, "test", seed=5), answer="text"))
    assert [f.check for f in found if f.severity != "note"] == []
    assert {f.check for f in found} <= {"near_duplicate", "language", "length"}


def test_an_empty_answer_stops_training_and_is_left_out_by_a_repair():
    subject = _subject(_row("E domani?", "  "), _row(" ", "Domani cala."))
    finding = _found(gate(subject), "empty_answer")
    assert finding.severity == "error"
    assert finding.rows == ("train:x0", "train:x1")
    kept, done = repair(subject.train, [finding])
    assert len(kept) == len(subject.train) - 2
    assert {r.action for r in done} == {"dropped"}


@pytest.mark.parametrize("lines", [
    '{"messages": [{"role": "user", "content": "Ciao"}]}',
    '{"messages": []}',
    '{"prompt": "Ciao", "answer": ""}',
    '{"prompt": "Ciao", "answer": null}',
    '{"instruction": "Ciao", "input": "", "output": ""}',
])  # fmt: skip
def test_a_row_without_an_answer_can_be_read_so_that_the_audit_can_name_it(lines, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines + "\n", encoding="utf-8")
    rows = data.load(tmp_path / "a.jsonl", tasks.get("chat"), {})
    with pytest.raises(DataError, match="lack an answer"):
        data.raise_errors(gate(Subject(rows, answer="text")))


@pytest.mark.parametrize("answer", [
    "TODO: chiedere a Nerina.", "Lorem ipsum dolor sit amet.", "Ciao {{nome}}, come stai?", "...", "N/A",
    "Gentile [Nome], grazie.", "Kind regards, [Your Name]", "nan", "Da completare", "[inserire la risposta]",
])  # fmt: skip
def test_a_placeholder_is_found(answer):
    found = answers.check(_subject(_row("E poi?", answer)))
    assert _found(found, "placeholder").rows == ("train:x0",)


@pytest.mark.parametrize("answer", [
    "print(f'{name}')", "Todo lo que dices es cierto.", "🙂", "grep TODO *.py", "None.", "No.", "`[NAME]` is it",
    "a[i] = b[name_of]", "Sì...",
])  # fmt: skip
def test_what_only_looks_like_a_placeholder_is_left_alone(answer):
    assert _found(answers.check(_subject(_row("E poi?", answer))), "placeholder") is None


def test_none_is_an_answer_where_many_give_it():
    subject = _subject(*(_row(f"Quanti ne restano {i}?", "None") for i in range(60)))
    assert _found(answers.check(subject), "placeholder") is None


@pytest.mark.parametrize(("answer", "check"), [
    ("As an AI language model, I have no sea.", "machine_talk"),
    ("Come modello linguistico non vedo il mare.", "machine_talk"),
    ("In quanto intelligenza artificiale, non dormo.", "machine_talk"),
    ("Sono un modello linguistico addestrato per aiutare.", "machine_talk"),
    ("I'm sorry, but I can’t help with that.", "refusal"),
    ("Mi dispiace, ma non posso aiutarti.", "refusal"),
])  # fmt: skip
def test_machine_talk_and_refusals_are_found(answer, check):
    found = _found(answers.check(_subject(_row("E poi?", answer))), check)
    assert found.rows == ("train:x0",)


@pytest.mark.parametrize("answer", [
    "Mi dispiace per la barca, figliolo.", "I can't swim, you know.", "Non posso dormire col vento.",
    "Il modello della barca è vecchio.",
])  # fmt: skip
def test_a_person_may_be_sorry(answer):
    found = answers.check(_subject(_row("E poi?", answer)))
    assert {f.check for f in found} == set()


def test_one_answer_to_many_questions_is_boilerplate():
    same = "Grazie per averci scritto, le risponderemo presto."
    found = _found(
        answers.check(_subject(*(_row(f"Domanda {i}?", same) for i in range(12)))), "boilerplate"
    )
    assert len(found.rows) == 12
    assert found.severity == "warning"
    thanks = _subject(*(_row(f"Grazie {i}", "Prego!") for i in range(12)))
    assert _found(answers.check(thanks), "boilerplate") is None


def test_one_opening_of_many_answers_is_a_formula():
    rng = np.random.default_rng(3)
    rows = [_row(f"Dimmi {i}?", f"Che bella domanda mi fai! {_text(rng)}") for i in range(60)]
    assert "Che bella domanda mi fai!" in _found(answers.check(_subject(*rows)), "formula").message


def test_an_answer_that_is_its_question_is_an_echo():
    subject = _subject(_row("Dove si trova il faro?", "dove si trova  il faro?"), _row("Sì", "Sì"))
    assert _found(answers.check(subject), "echo").rows == ("train:x0",)


@pytest.mark.parametrize("seed", range(3))
def test_answers_cut_at_a_random_word_are_found_without_false_alarms(seed):
    rows, planted = _changed(_healthy(400, seed=seed), _cut, seed=seed)
    finding = _found(cut_answers.check(Subject(rows, answer="text")), "cut_answer")
    whole = {o for o in planted if closed(rows.examples[int(o.split(":")[1])].target)}
    assert set(finding.rows) == planted - whole  # a cut between two sentences leaves no trace


@pytest.mark.parametrize(("text", "end"), [
    ("Il mare è grosso perché", "perché"), ("Ho visto l'", "l'"), ("It is on the", "the"),
    ("```python\nprint(1)\n", "code block"), ("SELECT name FROM", "FROM"), ("Il faro (che è vecchio", "("),
    ("Prima il faro,", ","), ('Disse: "vado a', '"'),
])  # fmt: skip
def test_an_open_end_is_named(text, end):
    assert end in open_end(text)


@pytest.mark.parametrize("text", [
    "SELECT count(*) FROM singer", "ls -la", "Va bene così", "#mare #faro", "- pane\n- latte", "sì :)", "a) uno",
    "SELECT name FROM a ORDER BY Year_Join", "find . -name '*.py' -exec wc {} +", "Un po'", "C'è il sole", "5'",
])  # fmt: skip
def test_whole_texts_without_a_mark_have_no_open_end(text):
    assert open_end(text) == ""


@pytest.mark.parametrize("make", [
    lambda i: f"SELECT c{i} FROM t{i} WHERE x = {i}",
    lambda i: f"#mare{i} #faro #vento",
    lambda i: f"- pane {i}\n- latte\n- uova",
    lambda i: ["sì", "no", "forse"][i % 3],
    lambda i: f"rosse le vele {i}\nnel vento leggero\nva la barca\nverso la sera",
    lambda i: f"def f{i}(x):\n    return x + {i}",
    lambda i: f"ci vediamo dopo {i} ore al porto",
    lambda i: f"Che bello il mare numero {i} 🌊",
], ids=["sql", "hashtags", "list", "words", "poem", "code", "no marks", "emoji"])  # fmt: skip
def test_answers_that_never_end_with_a_mark_are_not_cut(make):
    rows = Dataset("train", tuple(_row(f"Domanda {i}?", make(i), f"t:{i}") for i in range(100)))
    assert cut_answers.check(Subject(rows, answer="text")) == []


def test_lists_names_and_poems_among_prose_are_not_cut():
    odd = ("Parigi", "- pane\n- latte", "#mare #faro", "Il Nome della Rosa", "Cari saluti,\nNerina del Faro",
           "rosse le vele\nnel vento leggero\nva la barca\nverso la sera", "www.faro.example/mare")  # fmt: skip
    subject = _subject(*(_row(f"Domanda {i}?", answer) for i, answer in enumerate(odd)))
    assert cut_answers.check(subject) == []


@pytest.mark.parametrize(("unit", "cut"), [
    ("characters", lambda text, _: text[:150]), ("words", lambda text, _: " ".join(text.split()[:24])),
])  # fmt: skip
def test_many_answers_of_the_greatest_length_were_cut_there(unit, cut):
    rows = _healthy(300)
    rows, _ = _changed(rows, cut, share=1)
    finding = _found(cut_answers.check(Subject(rows, answer="text")), "same_length")
    assert unit in finding.message
    assert len(finding.rows) > 50


@pytest.mark.parametrize("seed", range(8))
def test_healthy_answers_have_no_drift(seed):
    subject = Subject(
        _healthy(300, seed=seed), None, _healthy(100, "test", seed=seed + 50), answer="text"
    )
    assert style.check(subject) == []


@pytest.mark.parametrize(("change", "words"), [
    (lambda text, _: text.upper(), "capital"),
    (lambda text, _: text.replace(".", "!!!"), "exclamation"),
    (lambda text, _: f"🌊🌊 {text} 😀🎉", "emoji"),
    (lambda text, _: text.replace(".", " e poi") + ".", "words a sentence"),
], ids=["capitals", "shouting", "emoji", "long sentences"])  # fmt: skip
def test_answers_in_another_manner_are_named_with_numbers(change, words):
    rows, planted = _changed(_healthy(300), change)
    finding = _found(style.check(Subject(rows, answer="text")), "style")
    assert words in finding.evidence[0]
    assert set(finding.rows) <= planted
    assert len(finding.rows) > 0.6 * len(planted)


def test_a_second_writer_at_the_end_of_the_file_is_a_drift():
    rows = _healthy(300)
    shout = [_row(e.prompt, e.target.replace(".", "!"), e.origin) for e in rows.examples[200:]]
    rows = replace(rows, examples=(*rows.examples[:200], *shout))
    finding = _found(style.check(Subject(rows, answer="text")), "style_drift")
    assert "last third" in finding.message
    assert "exclamation" in finding.message


def test_test_rows_of_another_manner_are_told():
    test, _ = _changed(_healthy(60, "test", seed=9), lambda text, _: text.split(".")[0], share=1)
    finding = _found(style.check(Subject(_healthy(), None, test, answer="text")), "style_split")
    assert "words" in finding.message


def test_some_lei_among_tu_is_told():
    rows = [
        _row(f"Domanda {i}?", "Se vuoi uscire devi aspettare, tu che puoi.") for i in range(200)
    ]
    polite = [_row("E io?", "Se Lei esce, prenda la Sua barca.") for _ in range(5)]
    assert len(_found(style.check(_subject(*rows, *polite)), "style_address").rows) == 5


def _turns(*said, tools=()):
    return Example.of_conversation([Message(*turn) for turn in said], tools=tools)


CALL = {"type": "function", "function": {"name": "mare", "arguments": {"quando": "domani"}}}
TOOLS = ({"type": "function", "function": {"name": "mare", "parameters": {}}},)


@pytest.mark.parametrize(("example", "check"), [
    (_turns(("user", "a"), ("system", "b"), ("assistant", "c")), "roles_system"),
    (_turns(("system", "a"), ("system", "b"), ("user", "c"), ("assistant", "d")), "roles_system"),
    (_turns(("user", "a"), ("user", "b"), ("assistant", "c")), "roles_order"),
    (_turns(("user", "a"), ("assistant", "b"), ("assistant", "c")), "roles_order"),
    (_turns(("assistant", "a"), ("user", "b"), ("assistant", "c")), "roles_beginning"),
    (_turns(("user", "a"), ("tool", "b"), ("assistant", "c")), "roles_orphan"),
    (_turns(("user", "a"), ("assistant", "", (CALL,)), ("user", "b"), ("assistant", "c"), tools=TOOLS),
     "roles_unanswered"),
    (_turns(("user", "a"), ("assistant", "", (CALL,))), "roles_undeclared"),
    (_turns(("user", "a"), ("assistant", "b"), ("user", "c")), "roles_left_out"),
])  # fmt: skip
def test_turns_out_of_order_are_named(example, check):
    assert [f.check for f in roles.check(_subject(example))] == [check]


@pytest.mark.parametrize("example", [
    _turns(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
    _turns(("user", "a"), ("assistant", "", (CALL,)), ("tool", "1"), ("assistant", "c"), tools=TOOLS),
    _turns(("user", "a"), ("assistant", "", (CALL, CALL)), ("tool", "1"), ("tool", "2"), ("assistant", "c"), tools=TOOLS),
    _turns(("user", "a"), ("assistant", "", (CALL,)), tools=TOOLS),
], ids=["turns", "tool", "two calls", "a call at the end"])  # fmt: skip
def test_turns_in_order_are_left_alone(example):
    assert roles.check(_subject(example)) == []


def test_only_turns_of_the_user_are_joined_and_only_repeated_answers_dropped():
    same = _turns(("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "c"))
    other = _turns(("user", "a"), ("assistant", "c"), ("assistant", "d"))
    subject = _subject(same, other)
    kept, done = repair(subject.train, roles.check(subject))
    assert [r.row for r in done] == ["train:x0"]
    assert kept.examples[-2].messages == (Message("user", "a\nb"), Message("assistant", "c"))
    assert kept.examples[-1].messages == other.messages


def test_the_same_question_with_another_answer_is_a_note_and_the_same_conversation_a_warning():
    row = _row("Com'è il mare?", "Grosso e scuro.")
    subject = _subject(
        row,
        _row("Com'è il mare?", "Domani cala."),
        row,
        _row("Com'è il mare?", "Calmo.", system="s"),
    )
    found = gate(subject)
    assert _found(found, "duplicate").rows == ("train:x2",)
    assert _found(found, "several_answers").severity == "note"
    assert _found(found, "several_answers").rows == ("train:x0", "train:x1")


def test_a_test_row_with_its_answer_in_train_is_a_leak_and_without_it_a_warning():
    test = Dataset(
        "test", (_row("Com'è il mare?", "Grosso.", "test:1"), _row("Ciao", "Salve.", "test:2"))
    )
    subject = replace(_subject(_row("com'è il mare?", "grosso."), _row("Ciao", "Ciao!")), test=test)
    found = gate(subject)
    assert _found(found, "leak").severity == "error"
    assert _found(found, "leak").evidence == ("train:x0 = test:1",)
    assert _found(found, "question_leak").severity == "warning"


def test_broken_letters_and_personal_data_are_found_in_every_turn():
    example = _turns(
        ("user", "Ciao"), ("assistant", "PerchÃ© no, la cittÃ\xa0 è qui"), ("user", "E poi?"),
        ("assistant", "Scrivi a nerina.rossi@faro.example.it"),
    )  # fmt: skip
    subject = _subject(example)
    found = audit(subject)
    assert _found(found, "encoding").evidence[0].startswith("turn 2 (assistant): ")
    assert "turn 4 (assistant)" in _found(found, "personal_data").evidence[0]
    kept, _ = repair(subject.train, found)
    assert kept.examples[-1].messages[1].content == "Perché no, la città è qui"
    assert kept.examples[-1].prompt == "Ciao\nPerché no, la città è qui\nE poi?"


def test_broken_letters_in_the_arguments_of_a_call_are_mended():
    call = {"type": "function", "function": {"name": "mare", "arguments": {"dove": ["cittÃ\xa0"]}}}
    subject = _subject(_turns(("user", "Ciao"), ("assistant", "", (call,)), tools=TOOLS))
    kept, _ = repair(subject.train, audit(subject))
    arguments = kept.examples[-1].messages[1].tool_calls[0]["function"]["arguments"]
    assert arguments == {"dove": ["città"]}


RULES = (
    RuleConfig(name="short", max_words=8, why="few words"),
    RuleConfig(name="no machine", must_not=("modello linguistico",)),
    RuleConfig(name="italian", language="it"),
    RuleConfig(name="sea words", must="mare|vento", when="barca"),
)


def test_each_rule_tells_how_many_answers_break_it_and_with_which_words():
    rows = (
        _row("Chi sei?", "Sono un Modello Linguistico e parlo molto più di quanto serva oggi.", "a:1"),
        _row("La barca?", "Resta a casa.", "a:2"), _row("La barca?", "Col vento no.", "a:3"),
        _row("Boh?", "The sea is rough today and nobody should ever go out.", "a:4"),
    )  # fmt: skip
    found = constitution.check(Subject(Dataset("train", rows), answer="text", rules=RULES))
    by_name = {
        rule.name: next((f for f in found if repr(rule.name) in f.message), None) for rule in RULES
    }
    assert by_name["short"].rows == ("a:1", "a:4")
    assert "'Modello Linguistico'" in by_name["no machine"].evidence[0]
    assert by_name["italian"].rows == ("a:4",)
    assert by_name["sea words"].rows == ("a:2",)
    assert "1 of 4 answers" in by_name["sea words"].message


def test_repaired_conversations_are_read_back_identical(tmp_path):
    call = {"type": "function", "function": {"name": "mare", "arguments": {"quando": "è già"}}}
    text = {"type": "function", "function": {"name": "mare", "arguments": "solo testo"}}
    rows = Dataset("train", (
        replace(_turns(("system", "Sei Nerina."), ("user", "Com'è?"), ("assistant", "", (call, text)),
                       ("tool", '{"onde": 2}', (), "mare"), ("assistant", "Due metri d'onda."),
                       ("user", "Grazie"), tools=TOOLS), origin="a:1", group="anna"),
        _row("Perché?", "Perché sì, «così».", "a:2"),
    ))  # fmt: skip
    subject = Subject(rows, answer="text")
    report = write_repaired(subject, [], tmp_path / "fixed", recipe="mia ricetta.yaml")
    again = data.load(
        tmp_path / "fixed" / "train.jsonl", tasks.get("chat"), {"group": "group"}, format="messages"
    )
    assert again.fingerprint == rows.fingerprint
    assert report["files"][0]["turns_left_out"]["a:1"][0]["content"] == "Grazie"
    assert report["next"].startswith("fucina train 'mia ricetta.yaml' data.train=")
    assert "data.format=auto" in report["next"]


def _public(*parts):
    path = PUBLIC.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    return path


@pytest.mark.parametrize(("parts", "columns", "alarms", "recall", "precision"), [
    (("chat_gpteacher", "Roleplay", "roleplay-simple-deduped-roleplay-instruct.json"), {}, 0.002, 0.8, 0.95),
    (("summ_samsum", "samsum-validation.csv"), {"prompt": "dialogue", "answer": "summary"}, 0.004, 0.65, 0.9),
    (("sql_spider", "train_rebuilt.jsonl"), {"prompt": "question", "answer": "query"}, 0.002, 0.4, 0.95),
], ids=["roleplay", "summaries", "sql"])  # fmt: skip
def test_cut_answers_of_public_sets(parts, columns, alarms, recall, precision):
    rows = data.load(_public(*parts), tasks.get("chat"), columns)

    def found(rows):
        finding = _found(cut_answers.check(Subject(rows, answer="text")), "cut_answer")
        return set(finding.rows) if finding else set()

    def cut(text, rng):
        words = text.split(" ")
        return " ".join(words[: int(rng.integers(1, len(words)))]) if len(words) > 3 else text

    before = found(rows)
    assert len(before) <= alarms * len(rows)
    damaged, planted = _changed(rows, cut)
    after = found(damaged)
    assert len(after & planted) >= recall * len(planted)
    assert len(after & planted) >= precision * len(after)


def test_a_finding_can_be_written_as_json():
    from dataclasses import asdict

    subject = _subject(_turns(("user", "a"), ("user", "perchÃ© no"), ("assistant", "c")))
    assert "perché" in json.dumps([asdict(f) for f in audit(subject)], ensure_ascii=False)


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40, deadline=None)
@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=40))
def test_any_texts_can_be_audited_and_repaired(pairs):
    rows = Dataset("train", tuple(_row(q, a, f"a:{i}") for i, (q, a) in enumerate(pairs)))
    findings = audit(Subject(rows, answer="text", rules=RULES))
    empty = {o for f in findings if f.check == "empty_answer" for o in f.rows}
    assert empty == {e.origin for e in rows.examples if not (e.prompt.strip() and e.target.strip())}
    kept, done = repair(rows, findings)
    assert len(kept) + sum(r.action == "dropped" for r in done) == len(rows)
    assert not any(f.check == "empty_answer" for f in gate(replace(Subject(kept, answer="text"))))


def test_rows_of_columns_are_repaired_as_columns(tmp_path):
    task = tasks.get("hashtags")
    rows = [
        {"text": "Oggi pizza in piazza.", "hashtags": ["#cittÃ\u00a0", "#pizza"], "id": 1},
        {"text": "Un giro in bici, poi lago.", "hashtags": ["#bici"], "id": 2},
        {"text": "Un giro in bici, poi lago.", "hashtags": ["#bici"], "id": 3},
        {"text": "Oggi pizza in piazza.", "hashtags": ["#città", "#pizza"], "id": 4},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rows_read = data.load(path, task, {}, name="train")
    subject = Subject(rows_read, answer="text", read=task.read)
    report = write_repaired(subject, audit(subject), tmp_path / "fixed")
    written = (tmp_path / "fixed" / "train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in written] == [
        {"text": "Oggi pizza in piazza.", "hashtags": ["#città", "#pizza"]},
        {"text": "Un giro in bici, poi lago.", "hashtags": ["#bici"]},
    ]
    (rewritten,) = report["files"][0]["rewritten"]
    assert rewritten["before"] == f"text: {rows[0]['text']}\nhashtags: {rows[0]['hashtags']}"
    assert "#città" in rewritten["after"]
    again = data.load(tmp_path / "fixed" / "train.jsonl", task, {})
    assert again.targets == ["#città #pizza", "#bici"]
