"""One contract for every place where an index keeps its chunks, and what a server may do wrong.

The contract runs over the embedded store, over a server that speaks Weaviate's protocol
(tests/weaviate_server.py), and over a true Weaviate where FUCINA_WEAVIATE_URL names one
(with FUCINA_WEAVIATE_KEY as its key): FUCINA_WEAVIATE_URL=http://localhost:8080 pytest FILE.
"""

import os
from pathlib import Path

import pytest

from command import run
from fucina.answering import ask
from fucina.config import IndexConfig, SearchConfig
from fucina.endpoint import connection
from fucina.endpoint.weaviate import Weaviate, literal
from fucina.errors import DataError, EndpointError, RecipeError, RunError
from fucina.library import index_documents, open_library
from fucina.retrieval import open_store
from weaviate_server import Kept, serve

TEXTS = {
    "uno.md": "---\ndate: 2025-01-05\ntags: [Soldi]\n---\nil rimborso del pacco arriva, rimborso",
    "due.md": "---\ndate: 2025-06-01\n---\nquando arriva un pacco nero",
    "tre.md": "lo schermo rotto non si accende e il prezzo non costa",
    "sotto/quattro.md": "---\ndate: 2026-01-01\ntags: soldi\n---\n# Quanto\n\nquanto costa la spedizione",
    'sotto/c\'è "così" \\n 🙂 .md': "annullare",
}
KEY = "WEAVIATE_API_KEY"


@pytest.fixture(params=["embedded", "protocol", "server"])
def backend(request):
    """Words that choose a backend, and keys."""
    if request.param == "embedded":
        yield [], {}
    elif request.param == "protocol":
        with serve(Kept(key="geheim")) as kept:
            yield [f"weaviate_url={kept.url}"], {KEY: "geheim"}
    else:
        yield from _server()


def _server():
    import httpx2

    url, key = os.environ.get("FUCINA_WEAVIATE_URL"), os.environ.get("FUCINA_WEAVIATE_KEY", "")
    if not url:
        pytest.skip("FUCINA_WEAVIATE_URL names no server")
    with httpx2.Client(headers={"Authorization": f"Bearer {key}"} if key else {}) as client:

        def names():
            told = client.get(f"{url}/v1/schema").raise_for_status().json()["classes"] or []
            return {one["class"] for one in told if one["class"].startswith("Fucina_place_")}

        before = names()
        yield [f"weaviate_url={url}"], {KEY: key}
        for name in names() - before:
            client.delete(f"{url}/v1/schema/{name}").raise_for_status()


@pytest.fixture
def carte(tmp_path):
    folder = tmp_path / "carte"
    write(folder, TEXTS)
    return folder


@pytest.fixture
def made(backend, carte, make_base, tmp_path):
    """A folder, its index at a backend, and functions that update and open it."""
    words, keys = backend
    place = tmp_path / "place"

    def update(*given, words=(), **more):
        return index_documents(place, given, words, keys=keys, **more)

    def opened(**more):
        return open_library(place, keys=keys, **more)

    update(carte, words=[f"embedder={make_base('bert')}", *words])
    return carte, update, opened


@pytest.fixture
def kept():
    with serve(Kept()) as kept:
        yield kept


@pytest.fixture
def remote(kept, carte, make_base, tmp_path):
    """An index on the server that speaks the protocol."""
    place = tmp_path / "place"
    index_documents(place, [carte], [f"embedder={make_base('bert')}", f"weaviate_url={kept.url}"])
    return kept, place, carte


@pytest.fixture
def hasty(monkeypatch):
    """No pauses between tries."""
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.0)


def write(folder, texts):
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def names(hits):
    return [hit.path.partition("/")[2] for hit in hits]


def found(library, question="rimborso pacco arriva", **asked):
    return library.searcher.search(question, SearchConfig(**{"top": 10, **asked}))


# The contract.

FILTERS = [
    {}, {"folder": "carte/sotto"}, {"folder": "carte/sot"}, {"folder": "/carte/uno.md"}, {"tag": "SOLDI"},
    {"since": "2025-06-01"}, {"until": "2025-06-01"}, {"tag": "soldi", "since": "2025-02-01"},
    {"tag": "altro"},
]  # fmt: skip


def test_hits_are_those_of_the_embedded_search(made, carte, make_base, tmp_path):
    plain = tmp_path / "plain"
    index_documents(plain, [carte], [f"embedder={make_base('bert')}"])
    with made[2]() as one, open_library(plain) as two:
        for question in ("quanto costa il pacco", "rimborso, rimborso!", "xyzzy", "?"):
            for asked in FILTERS:
                for ranking in ("scores", "words", "vectors", "ranks"):
                    hits = found(one, question, ranking=ranking, **asked)
                    wanted = found(two, question, ranking=ranking, **asked)
                    assert set(names(hits)) == set(names(wanted))
                    if ranking == "ranks":  # those without a word are of no order there
                        continue
                    assert names(hits) == names(wanted), (question, asked, ranking)
                    for hit, want in zip(hits, wanted, strict=True):
                        assert hit.chunk == want.chunk
                        assert (hit.title, hit.unit, hit.date, hit.tags) == (
                            want.title, want.unit, want.date, want.tags,
                        )  # fmt: skip
                        # Half precision on the disk of one, float32 at the other.
                        assert hit.score == pytest.approx(want.score, abs=5e-3)
                        assert hit.nearness == pytest.approx(want.nearness, abs=2e-3)
                        assert hit.coverage == pytest.approx(want.coverage)
                        assert hit.parts["bm25"] == pytest.approx(want.parts["bm25"], abs=5e-3)


def test_scores_are_the_same_where_most_chunks_are_no_candidates(made, make_base, tmp_path):
    from random import Random

    from conftest import WORDS

    folder, update, opened = made
    random = Random(0)
    rows = [" ".join(random.choices(WORDS, k=9)) for _ in range(300)]
    head = "frase,altra\n"
    (folder / "molte.csv").write_text(head + "".join(f"{row},x\n" for row in rows), "utf-8")
    update()
    plain = tmp_path / "plain"
    index_documents(plain, [folder], [f"embedder={make_base('bert')}"])
    with opened() as one, open_library(plain) as two:
        for ranking in ("scores", "words", "vectors"):
            for question in ("schermo rotto", "prezzo", "città perché nero"):
                hits, wanted = (found(x, question, ranking=ranking, top=5) for x in (one, two))
                assert [h.score for h in hits] == pytest.approx([w.score for w in wanted], abs=5e-3)


def test_a_document_is_left_out_and_documents_are_named(made):
    with made[2]() as library:
        number = next(n for n, f in library.searcher.documents.items() if f.path == "carte/uno.md")
        hits = library.searcher.search("rimborso", SearchConfig(top=10), without=number)
        assert set(names(hits)) == set(TEXTS) - {"uno.md"}
        assert library.searcher.coverage("rimborso", ["Rimborsi!", "no"]).tolist() == [1.0, 0.0]


def test_what_is_asked_is_quoted_with_its_line(made):
    with made[2]() as library:
        told = ask(library, "quanto costa la spedizione", SearchConfig(top=2), least=0.0)
        best = told.quotes[0]
        assert (best.text, best.place) == ("quanto costa la spedizione", 7)
        assert told.hits[best.hit].chunk.headings == ("Quanto",)


def test_an_update_sees_what_is_new_changed_and_gone(made):
    folder, update, opened = made
    assert update().unchanged == 5
    (folder / "due.md").write_text(
        "".join(f"# Titolo {n}\n\nprezzo {n}\n\n" for n in range(5)), "utf-8"
    )
    (folder / "nuovo.md").write_text("app blocca", "utf-8")
    (folder / "uno.md").unlink()
    done = update()
    assert (done.added, done.changed, done.removed) == (
        ("carte/nuovo.md",), ("carte/due.md",), ("carte/uno.md",),
    )  # fmt: skip
    assert (done.unchanged, done.documents, done.chunks) == (3, 5, 9)
    (folder / "due.md").write_text("# Titolo 0\n\nprezzo\n", "utf-8")  # four chunks fewer
    assert update().chunks == 5
    with opened() as library:
        hits = found(library, "titolo prezzo rimborso")
        assert set(names(hits)) == {*TEXTS, "nuovo.md"} - {"uno.md"}
        assert [h.chunk.text for h in hits if h.path == "carte/due.md"] == ["prezzo"]


def test_what_is_forgotten_is_found_no_more(made, tmp_path):
    _, update, opened = made
    extra = tmp_path / "extra.md"
    extra.write_text("prezzo nero", "utf-8")
    assert update(extra).documents == 6
    assert update(forget=[extra]).removed == ("extra.md",)
    with opened() as library:
        assert "extra.md" not in str(found(library, "prezzo nero"))


def test_another_embedder_is_refused_until_all_is_embedded_again(made, make_base):
    _, update, opened = made
    other = [f"embedder={make_base('llama')}"]
    with pytest.raises(RunError, match="was made by another embedder"):
        update(words=other)
    with opened() as library:
        assert len(found(library)) == 5
    done = update(words=other, anew=True)
    assert (len(done.added), done.chunks) == (5, 5)
    with opened() as library:
        assert len(found(library)) == 5


def test_longer_chunks_cut_everything_anew(made):
    done = made[1](words=["chunk_tokens=32", "overlap_tokens=0"])
    assert (len(done.added), done.chunks) == (5, 5)


def test_a_reader_sees_what_is_written_meanwhile(made):
    folder, update, opened = made
    with opened() as library:
        assert len(found(library)) == 5
        (folder / "nuovo.md").write_text("rimborso nuovo", "utf-8")
        update()
        assert len(found(library)) == 6


# What only a server can do.


@pytest.mark.parametrize("anew", [False, True])
def test_a_request_that_fails_anywhere_leaves_what_the_next_run_makes_whole(
    anew, kept, carte, make_base, tmp_path
):
    place = tmp_path / "place"
    words = [f"embedder={make_base('bert')}", f"weaviate_url={kept.url}"]
    index_documents(place, [carte], words)
    failed = 0
    for number in range(100):
        write(carte, {"due.md": f"pacco {number}", f"n{number}.md": "# A\n\nuno\n\n# B\n\ndue\n"})
        kept.script = [None] * number + [422]
        try:
            index_documents(place, [], [], anew=anew)
        except EndpointError:
            failed += 1
        done = kept.script
        kept.script = []
        if done:  # fewer requests than that
            break
        (carte / f"n{number}.md").rename(carte / f"m{number}.md")  # gone while half written
        try:
            index_documents(place, [], [])
        except RunError as error:
            assert "has no collection" in error.problem  # noqa: PT017
            index_documents(place, [], [], anew=True)
        with open_library(place) as library:
            hits = found(library, "pacco", top=50)
        assert set(names(hits)) == {*TEXTS, f"m{number}.md"}
        assert len(hits) == 7
        assert [h.chunk.text for h in hits if h.path == "carte/due.md"] == [f"pacco {number}"]
        (objects,) = kept.objects.values()
        assert len(objects) == 7
        (carte / f"m{number}.md").unlink()
    assert failed == number - 1 >= 8  # all but the question whether it is ready


def test_a_collection_is_named_after_its_index_and_keeps_no_fact_twice(remote):
    kept, place, _ = remote
    (name,) = kept.collections
    assert name.startswith("Fucina_place_")
    with open_store(place) as store:
        assert store.facts["collection"] == name
        assert store.count() == (5, 0)
        assert kept.collections[name]["description"].endswith(store.facts["fingerprint"])
    ids = set(kept.objects[name])
    for row in kept.objects[name].values():
        row["properties"]["text"] = "altered"
    index_documents(place, [], [], anew=True)
    assert set(kept.objects[name]) == ids  # the same again, over itself
    assert "altered" not in str(kept.objects)


def test_a_chunk_of_a_document_that_the_index_does_not_know_is_not_shown(remote):
    kept, place, _ = remote
    (objects,) = kept.objects.values()
    row = next(iter(objects.values()))
    other = "00000000-0000-0000-0000-000000000001"  # such as somebody else's hand puts there
    objects[other] = {**row, "id": other, "properties": {**row["properties"], "document": other}}
    with open_library(place) as library:
        assert len(found(library)) == 5


def test_unchanged_files_send_no_chunk(remote):
    kept, place, _ = remote
    kept.requests.clear()
    index_documents(place, [], [])
    assert not kept.asked("POST", "/v1/batch/objects")
    assert not kept.asked("DELETE", "/v1/batch/objects")


def test_an_index_moves_to_a_server_and_back(carte, kept, make_base, tmp_path):
    place = tmp_path / "place"
    index_documents(place, [carte], [f"embedder={make_base('bert')}"])
    done = index_documents(place, [], [f"weaviate_url={kept.url}"])
    assert (len(done.added), done.chunks) == (5, 5)
    with open_store(place) as store:
        assert store.count() == (5, 0)
    done = index_documents(place, [], ["weaviate_url=null"])
    assert (len(done.added), done.chunks) == (5, 5)
    with open_library(place) as library:
        assert len(found(library)) == 5


def test_a_document_of_more_chunks_than_one_deletion_takes_is_gone_whole(remote):
    kept, place, folder = remote
    kept.limit = 2
    (folder / "due.md").write_text("".join(f"# T{n}\n\npacco\n\n" for n in range(7)), "utf-8")
    assert index_documents(place, [], []).chunks == 11
    (folder / "due.md").unlink()
    assert index_documents(place, [], []).chunks == 4


@pytest.mark.usefixtures("hasty")
def test_what_passes_is_tried_again_and_what_does_not_is_told(remote):
    kept, place, _ = remote
    with open_library(place) as library:
        kept.script = [503, 429, "close"]
        assert len(found(library)) == 5
        kept.script = [500] * 15
        with pytest.raises(EndpointError, match=r"told to answer 500 \(tries: 5\)") as caught:
            found(library)
        assert "Try again later" in caught.value.fix


@pytest.mark.usefixtures("hasty")
def test_a_request_whose_answer_is_lost_is_made_again_to_the_same_end(remote):
    kept, place, _ = remote
    before = {n: row["properties"] for n, row in next(iter(kept.objects.values())).items()}
    kept.requests.clear()
    kept.script = [None, None, *["lost", None] * 50]
    assert len(index_documents(place, [], [], anew=True).added) == 5
    kept.script = []
    (objects,) = kept.objects.values()
    assert {n: row["properties"] for n, row in objects.items()} == before
    assert len(kept.asked("POST", "/v1/schema")) == 2


def test_a_chunk_that_is_refused_is_told_and_the_next_run_goes_on(remote):
    kept, place, folder = remote
    (folder / "uno.md").write_text("altro pacco", "utf-8")
    definition = next(iter(kept.collections.values()))
    words = next(p for p in definition["properties"] if p["name"] == "words")
    words["dataType"] = ["int"]
    with pytest.raises(EndpointError, match="refuses a chunk: invalid property 'words'"):
        index_documents(place, [], [])
    words["dataType"] = ["text"]
    assert index_documents(place, [], []).changed == ("carte/uno.md",)


def test_a_server_that_is_away_is_told_and_nothing_is_written(carte, make_base, tmp_path):
    with serve(Kept()) as kept:
        url = kept.url  # of nobody from here on
    words = [f"embedder={make_base('bert')}", f"weaviate_url={url}"]
    with pytest.raises(EndpointError, match=url) as caught:
        index_documents(tmp_path / "place", [carte], words)
    assert "Start Weaviate" in caught.value.fix
    with open_store(tmp_path / "place") as store:
        assert set(store.facts) == {"format"}
        assert store.count() == (0, 0)


@pytest.mark.parametrize(
    ("told", "key", "problem", "fix"),
    [
        ({"version": "1.18.6"}, "", "is Weaviate 1.18, 1.19 is needed", "Update the server"),
        ({"version": "?"}, "", "is no Weaviate", "before /v1"),
        ({"key": "a"}, "", "answers 401", KEY),
        ({"key": "a"}, "verkehrt", "answers 401: unauthorized: Bearer …", KEY),
    ],
)
def test_a_server_that_does_not_fit_is_told(told, key, problem, fix, carte, make_base, tmp_path):
    with serve(Kept(**told)) as kept:
        words = [f"embedder={make_base('bert')}", f"weaviate_url={kept.url}"]
        with pytest.raises(EndpointError, match=problem) as caught:
            index_documents(tmp_path / "place", [carte], words, keys={KEY: key})
        assert fix in caught.value.fix
        assert not kept.collections
        with open_store(tmp_path / "place") as store:
            assert set(store.facts) == {"format"}


def test_another_server_at_the_address_is_told(endpoint, carte, make_base, tmp_path):
    words = [f"embedder={make_base('bert')}", f"weaviate_url={endpoint.url.removesuffix('/v1')}"]
    with pytest.raises(EndpointError, match="is no Weaviate"):
        index_documents(tmp_path / "place", [carte], words)


def test_graphql_that_is_switched_off_is_told(remote):
    kept, place, _ = remote
    kept.graphql = False
    with (
        pytest.raises(EndpointError, match="graphql api is disabled") as caught,
        open_library(place) as library,
    ):
        found(library)
    assert "DISABLE_GRAPHQL" in caught.value.fix


def test_a_query_that_is_not_well_formed_is_an_error(kept):
    kept.create({"class": "Fucina_x", "vectorizer": "none", "properties": []})
    from fucina.endpoint import Server

    weaviate = Weaviate(Server(kept.url, "", KEY), "")
    try:
        for text in ("{ Get {", "{ Get { Nobody { a } } }", "{ Get { Fucina_x(limit: a) { b } } }"):
            with pytest.raises(EndpointError, match="cannot answer"):
                weaviate.query(text)
    finally:
        weaviate.close()
    assert literal({"operator": "And", "operands": [{"valueInt": 1}]}) == (
        "{operator: And, operands: [{valueInt: 1}]}"
    )


def test_a_collection_that_is_gone_or_of_another_embedder_is_told(remote):
    kept, place, _ = remote
    (name,) = kept.collections
    kept.collections[name]["description"] = "Chunks of an index of Fucina, embedder 0123"
    with pytest.raises(RunError, match="was made by another embedder"), open_library(place):
        pass
    kept.objects.clear()
    kept.collections.clear()
    with pytest.raises(RunError, match=f"has no collection {name}") as caught:
        index_documents(place, [], [])
    assert "--anew" in caught.value.fix
    assert len(index_documents(place, [], [], anew=True).added) == 5


def test_the_key_is_in_no_file_and_none_is_needed_only_here(carte, make_base, tmp_path):
    place, key = tmp_path / "place", "geheim-4711"
    with serve(Kept(key=key)) as kept:
        words = [
            f"embedder={make_base('bert')}",
            f"weaviate_url={kept.url}",
            "weaviate_key_variable=W",
        ]
        index_documents(place, [carte], words, keys={"W": key})
    assert all(key.encode() not in path.read_bytes() for path in place.rglob("*") if path.is_file())
    words[1] = "weaviate_url=https://weaviate.example.com"
    with pytest.raises(RecipeError, match="the variable W is not set") as caught:
        index_documents(tmp_path / "other", [carte], words)
    assert caught.value.fix.endswith("name another in weaviate_key_variable.")


@pytest.mark.parametrize(
    "url",
    ["localhost:8080", "ftp://localhost", "http://me:secret@localhost", "http://h?k=1", "http://"],
)
def test_what_is_no_address_or_has_a_password_is_refused(url):
    with pytest.raises(ValueError, match="weaviate_url must be like"):
        IndexConfig(weaviate_url=url)


def test_commands_are_the_same_with_a_server(carte, kept, make_base, tmp_path):
    def type_(*words):
        return run(*words, cwd=tmp_path, env={KEY: ""})

    words = [f"embedder={make_base('bert')}", f"weaviate_url={kept.url}"]
    done = type_("index", "carte", "--to", "place", *words)
    assert done.returncode == 0, done.stderr
    assert "place: 5 documents, 5 chunks" in done.stdout
    (carte / "uno.md").unlink()
    assert "- carte/uno.md" in type_("index", "--to", "place").stdout
    told = type_("ask", "place", "quanto costa la spedizione", "answer.sure=0", "top=1")
    assert "«quanto costa la spedizione» [1]" in told.stdout
    assert "[1] carte/sotto/quattro.md" in told.stdout
    kept.script = [503]
    for words in (("index", "--to", "place"), ("ask", "place", "pacco")):
        kept.script = [503]
        done = type_(*words)
        assert done.returncode == 2
        assert "is not ready (503)" in done.stderr
        assert "Start Weaviate" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_folder_of_documents_is_no_place_for_an_index(carte, kept):
    with pytest.raises(DataError, match="is not empty and is no index"):
        index_documents(Path(carte), [carte], [f"weaviate_url={kept.url}"])
    assert not kept.requests
