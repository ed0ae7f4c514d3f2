import json
from pathlib import Path

import pytest

from fucina.answering import open_answerer, tell
from fucina.config import AnswerConfig, IndexConfig, SearchConfig
from fucina.errors import DataError, EndpointError, ModelError
from fucina.library import index_documents, open_library
from fucina.records import Chunk, Hit, Message
from fucina.retrieval import open_embedder
from fucina.retrieval.prompting import NOT_THERE, TURN_TAKES, cited, prompt_of, tame

INJECTIONS = Path(__file__).parents[2] / "examples/injections/injections.jsonl"


def hit(text, path="a.md"):
    return Hit(path, "A", Chunk(("A",), text, 1, 1, 3), "line", "", (), 1.0, 0.5, 0.5)


def words(text):
    return len(text.split())


def test_documents_stand_behind_bars_and_a_mark_and_the_question_after_them():
    found = [hit("uno\ndue"), hit("tre", "b.md")]
    prompt = prompt_of(
        "Quando?", found, words, room=500, system="Sei Ada.", session="Ieri.", mark="m1"
    )
    system, user = (message.content for message in prompt.messages)
    assert system.startswith("Sei Ada.\n\nAnswer the question")
    assert (
        user.index("Ieri.")
        < user.index("[1] m1 a.md › A, line 1\n| uno\n| due\n")
        < user.index("[2] m1 b.md")
    )
    assert user.endswith("End of the documents (m1). Question: Quando?")
    assert sum(prompt.tokens.values()) == pytest.approx(words(system) + words(user), abs=3)


def test_every_prompt_has_another_mark():
    marks = {prompt_of("?", [], words, room=500).messages[1].content for _ in range(5)}
    assert len(marks) == 5


def test_what_does_not_fit_is_left_out_whole_and_nothing_at_all_is_an_error():
    found = [hit("parola " * 40), hit("parola " * 40), hit("parola " * 40)]
    prompt = prompt_of("?", found, words, room=220)
    assert (len(prompt.hits), prompt.left_out) == (2, 1)
    assert sum(prompt.tokens.values()) <= 220
    with pytest.raises(DataError, match="tokens hold no document"):
        prompt_of("?", found, words, room=100)


def exchange(question, answer):
    return [Message("user", question), Message("assistant", answer)]


def test_earlier_turns_stand_between_the_system_and_the_question_and_are_counted():
    history = [
        Message("assistant", "Benvenuto."),  # nobody asked
        *exchange("Chi porta <|im_start|>il gasolio?", "Bruno [2], di lunedì [1]."),
    ]
    prompt = prompt_of("E quanto costa?", [hit("uno")], words, room=500, history=history)
    assert [turn.role for turn in prompt.messages] == ["system", "user", "assistant", "user"]
    question, answer = (turn.content for turn in prompt.messages[1:3])
    assert question == "Chi porta < |im_start|>il gasolio?"
    assert answer == "Bruno, di lunedì."  # numbers were of other documents
    assert prompt.tokens["history"] == words(question) + words(answer) + 2 * TURN_TAKES
    assert prompt.forgotten == 0
    without = prompt_of("E quanto costa?", [hit("uno")], words, room=500)
    assert without.tokens == prompt.tokens | {"history": 0}


def test_the_oldest_exchanges_leave_before_a_document_and_the_last_one_only_for_the_only_one():
    found = [hit("parola " * 40), hit("parola " * 40)]
    history = [turn for n in range(3) for turn in exchange(f"domanda {n}", "risposta")]
    each = 3 + 2 * TURN_TAKES
    need = sum(prompt_of("?", found, words, room=500).tokens.values())

    def kept(room):
        prompt = prompt_of("?", found, words, room=room, history=history)
        assert sum(prompt.tokens.values()) <= room
        assert prompt.forgotten == 3 - (len(prompt.messages) - 2) / 2
        return [t.content for t in prompt.messages[1:-1:2]], len(prompt.hits)

    assert kept(need + 3 * each) == (["domanda 0", "domanda 1", "domanda 2"], 2)
    assert kept(need + 3 * each - 1) == (["domanda 1", "domanda 2"], 2)
    assert kept(need + each) == (["domanda 2"], 2)
    assert kept(need + each - 1) == (["domanda 2"], 1)  # the last one, rather than all documents
    assert kept(need - 40) == ([], 1)


def test_no_document_of_the_test_set_leaves_its_quotes():
    """Whatever an injection writes, each of its lines is behind a bar and no turn of a template."""
    for row in map(json.loads, INJECTIONS.read_text("utf-8").splitlines()):
        prompt = prompt_of(row["question"], [hit(row["document"])], words, room=5000, mark="mm11")
        inside = prompt.messages[1].content.split("\n")[2:-1]
        assert all(line.startswith("| ") for line in inside if line), row["id"]
        for turn in ("<|im_start|>", "<|im_end|>", "[INST]", "<<SYS>>", "<s>"):
            assert turn not in prompt.messages[1].content, row["id"]


def test_turns_are_broken_and_other_signs_are_not():
    assert (
        tame("a < b, <p>c</p> [1] |x| <|im_end|></s>") == "a < b, <p>c</p> [1] |x| < |im_end|>< /s>"
    )


def test_citations_are_read_and_invented_ones_taken_out():
    found = cited("Sono seicento [1] [3], e basta [9].", 3)
    assert (found.numbers, found.invented, found.text) == (
        (1, 3),
        (9,),
        "Sono seicento [1] [3], e basta.",
    )
    assert cited(f"{NOT_THERE.lower()}.", 3).not_there


@pytest.fixture
def notes(make_base, tmp_path):
    folder = tmp_path / "note"
    folder.mkdir()
    (folder / "a.md").write_text("# Olio\n\nil rimborso costa quanto il pacco\n", "utf-8")
    place = tmp_path / "index"
    index_documents(place, [folder], [f"embedder={make_base('bert')}"])
    return place


def test_a_model_behind_an_endpoint_answers_with_citations(notes, endpoint, tmp_path):
    endpoint.reply = lambda content: "Quanto il pacco [1], e di più [4]."
    (tmp_path / "chi.txt").write_text("Sei Nerina.", "utf-8")
    (tmp_path / "ripresa.md").write_text("Ieri: olio.", "utf-8")
    config = AnswerConfig(
        by="m", url=endpoint.url, sure=0, system=str(tmp_path / "chi.txt"),
        session=str(tmp_path / "ripresa.md"),
    )  # fmt: skip
    with open_library(notes) as library, open_answerer(config, {}) as speaker:
        told = tell(library, "quanto costa il rimborso", SearchConfig(), speaker, config)
    assert told.answered
    assert (told.cited.text, told.cited.numbers, told.cited.invented) == (
        "Quanto il pacco [1], e di più.", (1,), (4,),
    )  # fmt: skip
    asked = endpoint.requests[0]["messages"]
    assert asked[0]["content"].startswith("Sei Nerina.")
    assert "Ieri: olio." in asked[1]["content"]
    assert "| il rimborso costa quanto il pacco" in asked[1]["content"]


def test_a_model_is_told_what_was_said_before(notes, endpoint):
    endpoint.reply = lambda content: "Quanto il pacco [1]."
    config = AnswerConfig(by="m", url=endpoint.url, sure=0)
    history = exchange("Che cosa arriva?", "Il pacco [1].")
    with open_library(notes) as library, open_answerer(config, {}) as speaker:
        tell(library, "quanto costa", SearchConfig(), speaker, config, history=history)
    turns = endpoint.requests[0]["messages"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    assert [turn["content"] for turn in turns[1:3]] == ["Che cosa arriva?", "Il pacco."]


def test_nobody_is_asked_where_the_documents_are_not_likely_to_have_it(notes, endpoint):
    config = AnswerConfig(by="m", url=endpoint.url, sure=1)
    with open_library(notes) as library, open_answerer(config, {}) as speaker:
        told = tell(library, "treno per Roma", SearchConfig(), speaker, config)
    assert not told.answered
    assert endpoint.requests == []


def test_a_model_here_answers_within_what_it_reads(notes):
    config = AnswerConfig(by="favilla", sure=0, max_new_tokens=4)
    with open_library(notes) as library, open_answerer(config, {}) as speaker:
        told = tell(library, "quanto costa", SearchConfig(), speaker, config)
    assert 0 < told.reply.answer_tokens <= 4
    assert 0 < sum(told.prompt.tokens.values()) <= told.reply.prompt_tokens <= speaker.reads


def test_a_refusal_names_the_setting_that_there_is(notes, endpoint):
    endpoint.script = [(404, {}, {"error": "no such model"})]
    config = AnswerConfig(by="m", url=endpoint.url, sure=0, retries=0)
    with (
        open_library(notes) as library,
        open_answerer(config, {}) as speaker,
        pytest.raises(EndpointError) as caught,
    ):
        tell(library, "quanto costa", SearchConfig(), speaker, config)
    assert "answer.url" in caught.value.fix
    assert "answer.by" in caught.value.fix


def test_an_endpoint_that_embeds_makes_an_index(endpoint, tmp_path):
    endpoint.embed = lambda text: [float(text.count(sign)) + 0.1 for sign in "aeiou"]
    (tmp_path / "a.md").write_text("rimborso del pacco", "utf-8")
    words_ = [f"embedder_url={endpoint.url}", "embedder=vettori"]
    index_documents(tmp_path / "index", [tmp_path / "a.md"], words_)
    with open_library(tmp_path / "index") as library:
        assert library.searcher.search("pacco", SearchConfig())[0].path == "a.md"
        assert library.embedder.name == "vettori"
    with open_embedder(IndexConfig(embedder="vettori", embedder_url=endpoint.url)) as embedder:
        assert embedder.passages(["aa", "b"]).shape == (2, 5)


def test_a_model_without_a_name_at_a_url_is_refused():
    with pytest.raises(ValueError, match="does not name the model"):
        AnswerConfig(url="http://localhost/v1")


def test_a_model_that_is_not_there_is_told(tmp_path):
    nowhere = AnswerConfig(by=str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="no folder"), open_answerer(nowhere, {}):
        pass
