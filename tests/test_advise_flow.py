"""Prompt, retrieval and fine-tuning weighed on the same rows, with a real server as one model."""

import json

import pytest

from fucina import advising, run
from fucina.errors import EndpointError, FucinaError, RecipeError, RunError
from fucina.library import sources_of
from fucina.recipe import load

CITIES = ["Lucca", "Bergamo", "Trento", "Nuoro", "Matera", "Asti", "Como", "Pavia", "Enna", "Rieti"]
ASKED = [
    "Come stai?", "Che tempo fa fuori?", "Vieni a pranzo con noi?", "Ti piace la musica?",
    "Dove hai messo le chiavi?", "Chi ha chiamato ieri sera?", "Quando parte il camion rosso?",
    "Perché ridi sempre?", "Hai visto mio fratello?", "Posso fare una domanda?",
    "Il telefono squilla, rispondi?", "Cosa leggi adesso?",
]  # fmt: skip
FACTS = {
    city: f"{(place + 3) * 7} scatole" for place, city in enumerate(CITIES)
}  # in the documents alone, so that only who reads them can know


def _lines(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")


@pytest.fixture
def chat(tmp_path, make_decoder, endpoint, make_base):
    """A chat about stores: the numbers stand in documents, the manner in the rows."""
    (tmp_path / "magazzini").mkdir()
    for city, fact in FACTS.items():
        text = f"# Magazzino di {city}\n\nNel magazzino di {city} ci sono {fact}.\n"
        (tmp_path / "magazzini" / f"{city}.md").write_text(text, encoding="utf-8")
    (tmp_path / "chi.md").write_text("Sei Ada, la magazziniera. Parli poco.\n", "utf-8")
    (tmp_path / "sessione.md").write_text("Oggi si fa l'inventario.\n", "utf-8")
    _lines(tmp_path / "train.jsonl", [
        {"prompt": asked, "answer": "Sto qui, e conto."} for asked in ASKED
    ])  # fmt: skip
    _lines(tmp_path / "test.jsonl", [
        {"prompt": f"Quante scatole ci sono nel magazzino di {city}?", "answer": fact}
        for city, fact in FACTS.items()
    ])  # fmt: skip
    recipe = f"""
task: chat
name: ada
output: {tmp_path}/runs
data: {{train: train.jsonl, test: test.jsonl}}
chat: {{max_new_tokens: 8}}
model: {{base: '{make_decoder("llama")}', max_length_tokens: 128}}
adapter: {{rank: 2}}
training: {{epochs: 1, batch_size: 4, precision: float32}}
evaluation: {{bootstrap_samples: 200, goals: {{ended: 0.5, latency_p95_ms: 60000, peak_memory_mib: 1}}}}
advise:
  ways: [prompt, few_shot, retrieval, fine_tune]
  models:
    - {{name: strong, by: big, url: '{endpoint.url}', price_read: 100, price_written: 1000}}
  components:
    - {{name: who, files: [chi.md]}}
    - {{name: stores, files: [magazzini], changes: often}}
    - {{name: session, files: [sessione.md], changes: each_session}}
  shots: 2
  index: {{embedder: '{make_base("bert")}', chunk_tokens: 60, overlap_tokens: 0}}
  search: {{top: 1, ranking: words}}
  cost: {{price_per_hour: 0.01, queries_per_month: 100000}}
"""
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")

    def reader(content):
        """Knows only what it is given: the number that is quoted, with its source."""
        quoted = [line for line in content.splitlines() if line.startswith("| Nel magazzino")]
        return f"{quoted[0].split('ci sono ')[1].rstrip('.')} [1]" if quoted else "Non lo so."

    endpoint.reply = reader

    def made(*overrides):
        return load(tmp_path / "recipe.yaml", overrides)[0], tmp_path

    return made


def sure_of_documents(monkeypatch):
    """The tiny encoder has random weights, whose nearness says nothing."""
    monkeypatch.setattr("fucina.lookup.SURE", 0.0)


def test_who_reads_the_documents_wins_and_all_is_told(chat, monkeypatch):
    sure_of_documents(monkeypatch)
    recipe, root = chat()
    found = advising.advise_recipe(recipe, root)
    arms = {arm.name: arm for arm in found.arms}
    # The tiny decoder reads 128 tokens: what does not fit is left out, with the reason.
    assert {"prompt strong", "few_shot strong", "retrieval strong", "retrieval none"} <= set(arms)
    assert "fine_tune base" in arms
    assert arms["retrieval strong"].scores["word_f1"].value > 0.7
    assert arms["prompt strong"].scores["word_f1"].value == 0
    assert found.chosen in {"retrieval strong", "retrieval none"}
    assert found.rows == 10
    # 7 tokens read and 3 written, says the server, of each of its answers.
    strong = arms["prompt strong"]
    assert (strong.read, strong.written) == (7, 3)
    assert strong.cost.each == pytest.approx((7 * 100 + 3 * 1000) / 1e6)
    assert strong.cost.month == pytest.approx(370)
    assert strong.memory_mib is None
    assert found.break_even["prompt strong → fine_tune base"] > 0
    hosted = arms["fine_tune base"]
    assert hosted.cost.hosting == pytest.approx(7.3)
    assert hosted.training_s > 0
    assert hosted.memory_mib > 50
    assert 0 < hosted.latency_ms[0] <= hosted.latency_ms[1]
    assert [part.approach for part in found.matrix] == ["prompt", "retrieval", "session"]
    assert any("peak_memory_mib" in said for said in (*found.missed, *found.unknown))
    assert any("latency_p95_ms" in said for said in found.met)
    volume = next(one for one in found.triggers if one.name == "volume")
    assert volume.holds is True


def test_each_way_asks_in_its_own_way(chat, endpoint, monkeypatch):
    sure_of_documents(monkeypatch)
    recipe, root = chat("advise.ways=[prompt, few_shot, retrieval]")
    advising.advise_recipe(recipe, root)
    by_turns = {}
    for asked in endpoint.requests:
        turns = asked["messages"]
        kind = "retrieval" if "Documents (" in turns[-1]["content"] else (
            "few_shot" if len(turns) > 2 else "prompt"
        )  # fmt: skip
        by_turns.setdefault(kind, []).append(turns)
    assert {kind: len(rows) for kind, rows in by_turns.items()} == {
        "prompt": 10, "few_shot": 10, "retrieval": 10,
    }  # fmt: skip
    system = by_turns["prompt"][0][0]
    assert system["role"] == "system"
    assert "Sei Ada, la magazziniera." in system["content"]
    assert "Oggi si fa l'inventario." in system["content"]
    assert "scatole" not in system["content"]
    shown = [turn["content"] for turn in by_turns["few_shot"][0][1:-1]]
    assert len(shown) == 4
    assert shown[1] == "Sto qui, e conto."
    last = by_turns["retrieval"][0][-1]["content"]
    assert "Oggi si fa l'inventario." in last
    assert "| Nel magazzino di" in last


def test_what_was_paid_is_not_asked_again(chat, endpoint):
    recipe, root = chat("advise.ways=[prompt]")
    first = advising.advise_recipe(recipe, root)
    asked = len(endpoint.requests)
    again = advising.advise_recipe(recipe, root)
    assert len(endpoint.requests) == asked == 10
    assert again.arms[0].latency_ms == first.arms[0].latency_ms
    longer, _ = chat("advise.ways=[prompt]", "chat.max_new_tokens=9")
    advising.advise_recipe(longer, root)
    assert len(endpoint.requests) == 2 * asked


def test_a_run_is_used_again_and_another_is_refused(chat):
    recipe, root = chat("advise.ways=[fine_tune]")
    advising.advise_recipe(recipe, root)
    runs = root / "runs" / "ada"
    count = len(list(runs.glob("*/metrics.json")))
    said = []
    advising.advise_recipe(recipe, root, say=said.append)
    assert len(list(runs.glob("*/metrics.json"))) == count == 1
    assert any(sentence.startswith("trained already:") for sentence in said)
    # What is said under advise changes no training.
    advising.advise_recipe(chat("advise.ways=[fine_tune]", "advise.cost.months=3")[0], root)
    assert len(list(runs.glob("*/metrics.json"))) == 1
    other, _ = chat("advise.ways=[fine_tune]", "data.test=null", "data.test_share=0.3")
    with pytest.raises(RunError, match="on other rows"):
        advising.advise_recipe(other, root, trained_run=run.find(runs))


def test_a_server_that_refuses_stops_before_training(chat, endpoint):
    recipe, root = chat()
    endpoint.script = [(401, {}, {"error": {"message": "no key"}})] * 40
    with pytest.raises(EndpointError, match="401"):
        advising.advise_recipe(recipe, root)
    assert not list((root / "runs").glob("*/*/metrics.json"))


def test_both_trained_and_given_documents(chat, monkeypatch, make_decoder):
    sure_of_documents(monkeypatch)
    room = ["model.max_length_tokens=1024", "advise.ways=[fine_tune_retrieval]"]
    recipe, root = chat(*room, "advise.hybrid=trained", f"model.base={make_decoder('qwen3')}")
    found = advising.advise_recipe(recipe, root)
    if not found.arms:
        pytest.fail(str(found.left_out))
    (both,) = found.arms
    assert both.notes[0] == "It learnt from rows with documents."
    kept = run.read_rows(run.find(root / "runs" / "ada-documents") / "development.parquet")[0]
    assert any("Documents (" in row.messages[-2].content for row in kept.examples)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["advise.metric=perplexity"], "cannot be compared between models"),
        (["advise.metric=word_f2"], "no score 'word_f2'"),
        (["advise.components=[{name: a, files: [niente.md]}]"], "niente.md of a is not there"),
        (["advise.versions=[via.md]"], "advise.versions: .*via.md cannot be read"),
        (["advise.models=[{name: x, by: nessuno/qui}]"], "nessuno/qui"),
        (["advise.ways=[sing]"], "advise.ways"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(chat, overrides, problem):
    def tried():
        recipe, root = chat(*overrides)
        advising.advise_recipe(recipe, root)

    with pytest.raises(FucinaError, match=problem):
        tried()


def test_several_jobs_at_once_are_refused(tmp_path):
    parts = (
        "parts: [{name: a, task: hashtags, train: a.jsonl}, {name: b, task: chat, train: b.jsonl}]"
    )
    (tmp_path / "r.yaml").write_text(
        f"{{task: multitask, name: a, multitask: {{{parts}}}}}", encoding="utf-8"
    )
    with pytest.raises(RecipeError, match="weighs one"):
        advising.advise_recipe(load(tmp_path / "r.yaml")[0], tmp_path)


def test_labels_are_prompted_looked_up_and_learnt(labelled, endpoint, make_base):
    endpoint.reply = lambda content: "**Guasto**." if "schermo" in content else "boh"
    text = f"""
task: classification
name: lab
output: {labelled}/runs
data: {{train: train.jsonl, test: test.jsonl}}
model: {{base: '{make_base("bert")}'}}
training: {{epochs: 1}}
evaluation: {{bootstrap_samples: 200, baselines: []}}
advise:
  models: [{{name: m, by: big, url: '{endpoint.url}', protocol: anthropic}}]
  index: {{embedder: '{make_base("bert")}'}}
"""
    (labelled / "r.yaml").write_text(text, encoding="utf-8")
    found = advising.advise_recipe(load(labelled / "r.yaml")[0], labelled)
    names = {arm.name for arm in found.arms}
    assert names == {"prompt m", "few_shot m", "retrieval m", "retrieval none", "fine_tune base"}
    assert set(found.left_out) == {
        "prompt base", "few_shot base", "retrieval base", "fine_tune_retrieval base",
    }  # fmt: skip
    assert found.metric == "balanced_accuracy"
    right = next(arm for arm in found.arms if arm.name == "prompt m").scores["accuracy"]
    known = [json.loads(line) for line in (labelled / "test.jsonl").read_text("utf-8").splitlines()]
    named = [row for row in known if "schermo" in row["text"] and row["label"] == "guasto"]
    assert right.value == pytest.approx(len(named) / len(known))
    told = endpoint.requests[0]["system"]
    assert told.startswith("Answer with one of these labels, and nothing else: ")
    shots = next(body for body in endpoint.requests if len(body["messages"]) > 1)["messages"]
    assert [turn["role"] for turn in shots[:2]] == ["user", "assistant"]
    kept = json.loads((labelled / "runs/lab/advice/advice.json").read_text("utf-8"))
    assert kept["chosen"] == found.chosen
    lines = (labelled / "runs/lab/advice/answers.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == found.rows
    assert set(json.loads(lines[0])["answers"]) == names
    page = (labelled / "runs/lab/advice/advice.html").read_text("utf-8")
    assert found.chosen in page
    assert "give price_read and price_written" in " ".join(found.assumed)


def test_rows_are_scored_by_what_they_are_about(chat):
    recipe, root = chat("advise.ways=[retrieval]", "advise.by=component")
    rows = [json.loads(line) for line in (root / "test.jsonl").read_text("utf-8").splitlines()]
    about = [{**row, "component": "a" if n % 5 else "b"} for n, row in enumerate(rows)]
    _lines(root / "test.jsonl", about)
    found = advising.advise_recipe(recipe, root)
    for arm in found.arms:
        assert list(arm.parts) == ["a", "b"]
        own = [arm.parts[name]["word_f1"].value for name in ("a", "b")]
        assert (8 * own[0] + 2 * own[1]) / 10 == pytest.approx(arm.scores["word_f1"].value)
    with pytest.raises(RecipeError, match="has no 'part'"):
        advising.advise_recipe(chat("advise.by=part")[0], root)
    with pytest.raises(RecipeError, match=r"data\.test"):
        advising.advise_recipe(chat("advise.by=component", "data.test=null")[0], root)


def test_documents_answer_where_they_can_and_the_model_elsewhere(chat, monkeypatch):
    recipe, root = chat("advise.ways=[retrieval, fine_tune, fine_tune_retrieval]",
                        "advise.hybrid=quoted", "advise.models=[]")  # fmt: skip
    monkeypatch.setattr("fucina.lookup.SURE", 0.0)
    advising.advise_recipe(recipe, root)
    rows = (root / "runs/ada/advice/answers.jsonl").read_text("utf-8").splitlines()
    for answers in (json.loads(row)["answers"] for row in rows):
        assert answers["fine_tune_retrieval base"] == answers["retrieval none"] != ""
    monkeypatch.setattr("fucina.lookup.SURE", 1.1)  # nothing is ever as sure
    found = advising.advise_recipe(recipe, root)
    rows = (root / "runs/ada/advice/answers.jsonl").read_text("utf-8").splitlines()
    for answers in (json.loads(row)["answers"] for row in rows):
        assert answers["fine_tune_retrieval base"] == answers["fine_tune base"]
        assert answers["retrieval none"] == ""
    both = next(arm for arm in found.arms if arm.way == "fine_tune_retrieval")
    assert both.notes == ("0 of 10 rows are answered by documents, the others by the model.",)


def test_spans_are_scored_as_they_are_written(tmp_path, endpoint, make_base):
    texts = [f"{start} {name} {end}" for name in ("Anna", "Bruno", "Carla", "Dario")
             for start, end in (("Oggi", "dorme"), ("Forse", "parte"), ("Ieri", "rideva"),
                                ("Domani", "torna dal mare"))]  # fmt: skip
    rows = [
        {"text": text, "spans": [{"start": len(text.split()[0]) + 1,
         "end": len(" ".join(text.split()[:2])), "label": "PER"}]} for text in texts
    ]  # fmt: skip
    _lines(tmp_path / "train.jsonl", rows[:12])
    _lines(tmp_path / "test.jsonl", rows[12:])
    endpoint.reply = lambda content: f"PER: {content.split()[1]}"
    (tmp_path / "r.yaml").write_text(f"""
task: entities
name: e
output: {tmp_path}/runs
data: {{train: train.jsonl, test: test.jsonl}}
model: {{base: '{make_base("bert")}'}}
training: {{epochs: 1}}
evaluation: {{bootstrap_samples: 200, baselines: []}}
advise:
  ways: [prompt, fine_tune]
  models: [{{name: m, by: big, url: '{endpoint.url}'}}]
""", encoding="utf-8")  # fmt: skip
    found = advising.advise_recipe(load(tmp_path / "r.yaml")[0], tmp_path)
    arms = {arm.name: arm for arm in found.arms}
    assert found.metric == "f1"
    assert arms["prompt m"].scores["f1"].value == 1
    assert "fine_tune base" in arms
    assert "PER: words of the text" in endpoint.requests[0]["messages"][0]["content"]


def test_what_is_no_component_any_more_is_not_looked_up(chat, make_base):
    """The index and the rules of an advice are those of the recipe as it is now."""
    recipe, root = chat("advise.ways=[retrieval]", "advise.search.ranking=words")
    advising.advise_recipe(recipe, root)
    other = root / "altro"
    other.mkdir()
    (other / "a.md").write_text(
        "# Altro\n\nNel magazzino di Lucca ci sono 3 sacchi.\n", encoding="utf-8"
    )
    changed, _ = chat(
        "advise.ways=[retrieval]", f"advise.index.embedder={make_base('llama')}",
        "advise.components=[{name: b, files: [altro], changes: often}]",
    )  # fmt: skip
    advising.advise_recipe(changed, root)
    assert sources_of(root / "runs/.indexes/ada") == [other.resolve()]
    rules = root / "rules.yaml"
    rules.write_text("rules: [{name: short, max_words: 3}]", encoding="utf-8")
    _lines(root / "others.jsonl", [{"prompt": p, "answer": f"certo {p}"} for p in ASKED])
    ruled, _ = chat("advise.ways=[retrieval]", "chat.constitution=rules.yaml",
                    "chat.others=others.jsonl")  # fmt: skip
    assert "rule:short" in advising.advise_recipe(ruled, root).arms[0].scores
    assert "rule:short" not in advising.advise_recipe(recipe, root).arms[0].scores
