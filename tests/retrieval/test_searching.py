"""Search beside plain sums over all chunks, and what filters leave."""

import math
import re

import numpy as np
import pytest

from fucina.config import SearchConfig
from fucina.errors import ModelError, RecipeError
from fucina.library import index_documents, open_library
from fucina.metrics.ranking import ndcg, recall, reciprocal_rank
from fucina.retrieval.words import stems
from fucina.settings_file import of_words

TEXTS = {
    "uno.md": "---\ndate: 2025-01-05\ntags: [Soldi]\n---\nil rimborso del pacco arriva, rimborso",
    "due.md": "---\ndate: 2025-06-01\n---\nquando arriva un pacco nero",
    "tre.md": "lo schermo rotto non si accende e il prezzo non costa",
    "sotto/quattro.md": "---\ndate: 2026-01-01\ntags: soldi\n---\nquanto costa la spedizione",
    "sotto/cinque.md": "annullare",
}


@pytest.fixture(scope="module")
def library(make_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("carte")
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    place = tmp_path_factory.mktemp("l") / "index"
    index_documents(place, [folder], [f"embedder={make_base('bert')}"])
    with open_library(place) as opened:
        yield opened


def names(hits):
    return [hit.path.partition("/")[2] for hit in hits]


def bm25(question, k=1.2, b=0.75):
    """The formula, document by document."""
    bodies = {
        name: re.sub(r"\A---.*?---\n", "", text, flags=re.DOTALL) for name, text in TEXTS.items()
    }
    words = {
        n: list(stems(f"{n.rpartition('/')[2].partition('.')[0]} {t}")) for n, t in bodies.items()
    }
    mean = sum(map(len, words.values())) / len(words)
    found = {}
    for name, own in words.items():
        score = 0.0
        for stem in stems(question):
            within = sum(stem in other for other in words.values())
            rarity = math.log(1 + (len(words) - within + 0.5) / (within + 0.5))
            count = own.count(stem)
            score += rarity * count * (k + 1) / (count + k * (1 - b + b * len(own) / mean))
        found[name] = score
    return found


@pytest.mark.parametrize(
    "question", ["rimborso del pacco", "quando arriva il pacco nero", "costa?"]
)
def test_words_are_ranked_by_bm25(library, question):
    hits = library.searcher.search(question, SearchConfig(ranking="words", top=10))
    wanted = bm25(question)
    assert {
        n: pytest.approx(h.score, abs=1e-4) for n, h in zip(names(hits), hits, strict=True)
    } == {name: score for name, score in wanted.items() if score > 0}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_vectors_are_ranked_by_cosine_and_scores_are_added(library):
    question = "quanto costa un pacco"
    near = library.searcher.search(question, SearchConfig(ranking="vectors", top=10))
    assert [h.score for h in near] == [h.nearness for h in near]
    assert len(near) == 5
    words = bm25(question)
    cosine = dict(zip(names(near), [h.nearness for h in near], strict=True))

    def scaled(scores):
        low, high = min(scores.values()), max(scores.values())
        return {name: (score - low) / (high - low) for name, score in scores.items()}

    one, two = scaled(words), scaled(cosine)
    for weight in (0.0, 0.5, 2.0):
        hits = library.searcher.search(question, SearchConfig(vector_weight=weight, top=10))
        wanted = {name: one[name] + weight * two[name] for name in one}
        assert {
            n: pytest.approx(h.score, abs=1e-4) for n, h in zip(names(hits), hits, strict=True)
        } == wanted


def test_ranks_are_fused_by_their_reciprocals(library):
    question = "quanto costa un pacco"
    by = {
        r: names(library.searcher.search(question, SearchConfig(ranking=r, top=10)))
        for r in ("words", "vectors")
    }
    hits = library.searcher.search(question, SearchConfig(ranking="ranks", top=10))
    for name, hit in zip(names(hits), hits, strict=True):
        if name in by["words"]:
            wanted = 1 / (61 + by["words"].index(name)) + 1 / (61 + by["vectors"].index(name))
            assert hit.score == pytest.approx(wanted)


def test_filters_leave_folders_tags_and_days(library):
    def left(**asked):
        return set(names(library.searcher.search("costa", SearchConfig(top=10, **asked))))

    root = library.searcher.documents[1].path.partition("/")[0]
    assert left(folder=f"{root}/sotto") == {"sotto/quattro.md", "sotto/cinque.md"}
    assert left(folder=f"{root}/sot") == set()  # a folder, not a beginning
    assert left(tag="soldi") == {"uno.md", "sotto/quattro.md"}
    assert left(since="2025-06-01") == {"due.md", "sotto/quattro.md"}
    assert left(until="2025-06-01") == {"uno.md", "due.md"}  # without a date is of no day
    assert left(since="2025-02-01", until="2025-12-31", tag="x") == set()


def test_coverage_is_the_share_of_the_question_that_a_chunk_has(library):
    hits = {
        n: h
        for h, n in zip(
            *(lambda f: (f, names(f)))(
                library.searcher.search("rimborso del pacco", SearchConfig(top=10))
            ),
            strict=True,
        )
    }
    assert hits["uno.md"].coverage == pytest.approx(1)
    assert 0 < hits["due.md"].coverage < 1
    assert hits["sotto/cinque.md"].coverage == 0
    assert library.searcher.coverage("rimborso del pacco", ["Rimborsi! Del pacco"])[
        0
    ] == pytest.approx(1)


def test_a_question_without_known_words_still_finds_by_vectors(library):
    assert len(library.searcher.search("xyzzy", SearchConfig(top=3))) == 3
    assert library.searcher.search("xyzzy", SearchConfig(ranking="words")) == []


def test_a_wrong_setting_names_the_nearest():
    with pytest.raises(RecipeError, match="tops") as caught:
        of_words(SearchConfig, ["tops=3"], "search")
    assert "did you mean 'top'" in caught.value.fix
    assert of_words(SearchConfig, ["since=2025-01-01"], "search").since == "2025-01-01"
    with pytest.raises(RecipeError, match="since"):
        of_words(SearchConfig, ["since=ieri"], "search")


def test_ranking_metrics_agree_with_scikit_learn():
    from sklearn.metrics import ndcg_score

    generator = np.random.default_rng(0)
    for _ in range(20):
        scores, relevant = (
            generator.random(30),
            set(generator.choice(30, 4, replace=False).tolist()),
        )
        order = np.argsort(-scores).tolist()
        truth = [[float(item in relevant) for item in range(30)]]
        assert ndcg(order, relevant, at=10) == pytest.approx(ndcg_score(truth, [scores], k=10))
        assert recall(order, relevant, at=30) == 1
        first = min(order.index(item) for item in relevant)
        assert reciprocal_rank(order, relevant) == pytest.approx(1 / (first + 1))


@pytest.fixture(scope="module")
def cross_encoder(make_base, tmp_path_factory):
    """A random BERT that reads pairs."""
    import shutil

    import torch
    import transformers

    folder = tmp_path_factory.mktemp("cross")
    shutil.copytree(make_base("bert"), folder, dirs_exist_ok=True)
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=1)
    torch.manual_seed(1)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_cross_encoder_sorts_the_best_anew(library, cross_encoder):
    import torch
    import transformers

    question = "quanto costa un pacco"
    plain = library.searcher.search(question, SearchConfig(top=10))
    with open_library(library.store.path.parent, rerank=str(cross_encoder)) as sorted_anew:
        hits = sorted_anew.searcher.search(question, SearchConfig(top=3))
        few = sorted_anew.searcher.search(question, SearchConfig(top=1, rerank_top=2))
    network = transformers.AutoModelForSequenceClassification.from_pretrained(cross_encoder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(cross_encoder)
    scores = {}
    for hit in plain:
        with torch.no_grad():
            logits = network(**tokenizer(question, hit.chunk.text, return_tensors="pt")).logits
        scores[hit.path] = float(logits[0, 0])
    wanted = sorted(scores, key=lambda path: -scores[path])
    assert [hit.path for hit in hits] == wanted[:3]
    assert hits[0].score == pytest.approx(scores[wanted[0]], abs=1e-5)
    assert few[0].path == max((hit.path for hit in plain[:2]), key=lambda path: scores[path])


def test_what_is_no_cross_encoder_is_refused(library, make_base, tmp_path):
    import transformers

    with (
        pytest.raises(ModelError, match="cannot be had"),
        open_library(library.store.path.parent, rerank=str(tmp_path / "nowhere")),
    ):
        pass
    config = transformers.AutoConfig.from_pretrained(make_base("bert"), num_labels=3)
    folder = tmp_path / "three"
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(make_base("bert")).save_pretrained(folder)
    with (
        pytest.raises(ModelError, match="has 3 classes"),
        open_library(library.store.path.parent, rerank=str(folder)),
    ):
        pass
