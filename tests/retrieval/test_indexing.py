import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fucina.answering import ask
from fucina.config import IndexConfig, SearchConfig
from fucina.errors import DataError, RecipeError, RunError
from fucina.library import index_documents, open_library
from fucina.retrieval import find_sources, open_store
from fucina.run import hold


@pytest.fixture
def made(make_base, tmp_path):
    """A folder of documents, an index of it, and a function that updates it."""
    folder = tmp_path / "carte"
    (folder / "sotto").mkdir(parents=True)
    (folder / "a.md").write_text("# Ordine\n\nDove il pacco arriva.\n", "utf-8")
    (folder / "b.md").write_text(
        "---\ntags: [soldi]\ndate: 2025-03-02\n---\nrimborso quanto costa\n", "utf-8"
    )
    (folder / "sotto" / "c.txt").write_text("lo schermo rotto si accende", "utf-8")
    (folder / ".nascosto.md").write_text("no", "utf-8")
    place = tmp_path / "index"
    embedder = f"embedder={make_base('bert')}"

    def update(*given, words=(embedder,), **more):
        return index_documents(place, given, words, **more)

    update(folder)
    return folder, place, update


def embedded(monkeypatch):
    """Count the texts that are embedded."""
    from fucina.models import features

    counted, true = [], features.vectors_of

    def counting(base, pool, texts, **more):
        counted.extend(texts)
        return true(base, pool, texts, **more)

    monkeypatch.setattr(features, "vectors_of", counting)
    return counted


def test_only_what_changed_is_embedded_again(made, monkeypatch):
    folder, place, update = made
    counted = embedded(monkeypatch)
    done = update()
    assert (done.unchanged, counted) == (3, [])
    (folder / "a.md").write_text("# Ordine\n\nNuovo prezzo.\n", "utf-8")
    os.utime(folder / "b.md")  # the same content at another time
    (folder / "d.md").write_text("app blocca\n", "utf-8")
    (folder / "sotto" / "c.txt").unlink()
    done = update()
    assert (done.added, done.changed, done.removed) == (
        ("carte/d.md",), ("carte/a.md",), ("carte/sotto/c.txt",),
    )  # fmt: skip
    assert sorted(text.split("\n")[1] for text in counted) == ["Nuovo prezzo.", "app blocca"]
    assert (done.unchanged, done.documents, done.chunks) == (1, 3, 3)
    with open_library(place) as library:
        assert "schermo" not in str(library.searcher.search("schermo", SearchConfig()))


def test_the_same_files_give_the_same_vectors_whether_at_once_or_one_by_one(
    made, make_base, tmp_path
):
    folder, place, _ = made
    other = tmp_path / "other"
    words = (f"embedder={make_base('bert')}",)
    (folder / "e.md").write_text("annullare ordine\n", "utf-8")
    for name in ("b.md", "e.md", "a.md", "sotto/c.txt"):
        index_documents(other, [folder / name], words)
    index_documents(place, [], ())

    def vectors(at):
        with open_store(at) as store:
            arrays, filed = store.arrays(), store.filed()
            names = [Path(filed[d].path).name for d in arrays.documents.tolist()]
            return dict(zip(names, arrays.vectors, strict=True))

    one, two = vectors(place), vectors(other)
    assert set(one) == set(two) == {"a.md", "b.md", "c.txt", "e.md"}
    for name, vector in one.items():
        # Half precision on the disk; padding to another length changes the last digits.
        assert np.allclose(vector, two[name], atol=2e-3)


def test_sources_come_together_and_are_forgotten_by_name(made, tmp_path):
    update = made[2]
    extra = tmp_path / "extra.md"
    extra.write_text("prezzo nero", "utf-8")
    assert update(extra).documents == 4
    assert update().documents == 4
    with pytest.raises(DataError, match="the index is not of"):
        update(forget=[tmp_path / "altro.md"])
    assert update(forget=[extra]).removed == ("extra.md",)
    extra.unlink()
    assert update().documents == 3


def test_a_folder_that_is_gone_takes_nothing_with_it(made, tmp_path):
    folder, place, update = made
    folder.rename(tmp_path / "moved")  # such as a disk that is not mounted
    with pytest.raises(DataError, match="no file or folder"):
        update()
    with open_store(place) as store:
        assert store.count()[0] == 3


def test_what_cannot_be_read_is_told_and_its_earlier_state_stays(made):
    folder, place, update = made
    (folder / "a.md").write_bytes(b"\x00\x01\x02")
    (folder / "rotto.pdf").write_bytes(b"%PDF-1.4 nothing")
    done = update()
    assert set(done.refused) == {"carte/a.md", "carte/rotto.pdf"}
    assert done.documents == 3
    with open_library(place) as library:
        assert "pacco" in library.searcher.search("pacco", SearchConfig(top=1))[0].chunk.text
    assert set(update().refused) == {"carte/a.md", "carte/rotto.pdf"}  # told every time


def test_another_embedder_is_refused_until_all_is_embedded_again(made, make_base):
    _, place, update = made
    other = (f"embedder={make_base('llama')}",)
    with pytest.raises(RunError, match="was made by another embedder") as caught:
        update(words=other)
    assert "--anew" in caught.value.fix
    with open_store(place) as store:
        assert store.count()[0] == 3
    assert len(update(words=other, anew=True).added) == 3


def test_other_weights_under_the_same_name_are_noticed(made, make_base, tmp_path):
    import shutil

    import torch
    import transformers

    folder, _, _ = made
    model = tmp_path / "model"
    shutil.copytree(make_base("bert"), model)
    place = tmp_path / "second"
    index_documents(place, [folder], [f"embedder={model}"])
    network = transformers.AutoModel.from_pretrained(model)
    with torch.no_grad():
        network.embeddings.word_embeddings.weight.add_(0.1)
    network.save_pretrained(model)
    with pytest.raises(RunError, match="another embedder"), open_library(place):
        pass


def test_longer_chunks_cut_everything_anew(made, monkeypatch):
    _, _, update = made
    counted = embedded(monkeypatch)
    done = update(words=("chunk_tokens=32", "overlap_tokens=0"))
    assert len(done.added) == 3
    assert len(counted) == 3


def test_two_writers_at_once_are_one_and_a_message(made):
    _, place, update = made
    with hold(place), pytest.raises(RunError, match="is in use") as caught:
        update()
    assert "index again" in caught.value.fix


def test_a_reader_sees_a_whole_index_while_another_process_writes(made):
    folder, place, update = made
    with open_library(place) as library:
        seen = []

        def write():
            for number in range(5):
                (folder / f"n{number}.md").write_text(f"ordine {number}\n", "utf-8")
                update()

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive():
            seen.append(len(library.searcher.search("ordine", SearchConfig(top=50))))
        writer.join()
        seen.append(len(library.searcher.search("ordine", SearchConfig(top=50))))
    assert seen == sorted(seen)
    assert seen[-1] == 8


def test_a_killed_indexing_leaves_an_index_that_answers_and_catches_up(make_base, tmp_path):
    folder, place = tmp_path / "carte", tmp_path / "index"
    folder.mkdir()
    for number in range(600):
        (folder / f"{number:03}.md").write_text(f"ordine pacco {number} " * 20, "utf-8")
    command = [
        sys.executable,
        "-m",
        "fucina",
        "index",
        folder,
        "--to",
        place,
        f"embedder={make_base('bert')}",
    ]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def count():
        try:
            with sqlite3.connect(f"file:{place / 'index.db'}?mode=ro", uri=True) as connection:
                return connection.execute("select count(*) from document").fetchone()[0]
        except sqlite3.OperationalError:
            return 0

    while process.poll() is None and not count():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = count()
    assert 0 < left < 600
    with open_library(place) as library:
        assert library.searcher.search("ordine 7", SearchConfig())
    done = index_documents(place, [], ())
    assert (done.unchanged, len(done.added), done.documents) == (left, 600 - left, 600)


def test_a_damaged_index_and_no_index_are_told(made, tmp_path):
    _, place, _ = made
    with pytest.raises(RunError, match="is no index"), open_library(tmp_path):
        pass
    path = place / "index.db"
    whole = path.read_bytes()
    told = []
    for page in range(2, len(whole) // 4096):  # the beginning is sound: it opens
        path.write_bytes(whole[: page * 4096] + b"\xff" * 4096 + whole[(page + 1) * 4096 :])
        try:
            with open_library(place) as library:
                library.searcher.search("pacco", SearchConfig())
        except RunError as error:
            told.append(error.problem)
    assert told
    assert all("is damaged" in problem for problem in told)
    path.write_bytes(b"nothing of the kind" * 100)
    for beside in place.glob("index.db-*"):
        beside.unlink()
    with pytest.raises(RunError, match="is damaged") as caught, open_library(place):
        pass
    assert "index again" in caught.value.fix


def test_a_folder_with_something_else_is_no_place_for_an_index(made):
    folder, _, _ = made
    with pytest.raises(DataError, match="is not empty and is no index"):
        index_documents(folder, [folder], ())
    assert not (folder / "index.db").exists()


def test_sources_are_named_below_the_folder_that_was_given(tmp_path):
    for name in ("a/x.md", "b/x.md", "x.md", "a/.git/y.md", "a/node_modules/z.md", "a/k.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x", "utf-8")
    found = find_sources([tmp_path / "a", tmp_path / "b", tmp_path / "x.md"])
    assert [source.name for source in found] == ["a/x.md", "b/x.md", "x.md"]
    with pytest.raises(DataError, match=r"would both be called x.md"):
        find_sources([tmp_path / "x.md", tmp_path / "a" / "x.md"])
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match="nothing to read"):
        find_sources([tmp_path / "c"])


def test_overlap_of_more_than_half_is_refused(made):
    with pytest.raises(RecipeError, match="over half of chunk_tokens"):
        made[2](words=("chunk_tokens=64", "overlap_tokens=40"))


def test_an_index_keeps_what_it_was_made_with(made):
    _, place, update = made
    update(words=("chunk_tokens=64", "overlap_tokens=8"))
    with open_store(place) as store:
        config = IndexConfig.model_validate_json(store.facts["config"])
        sources = json.loads(store.facts["sources"])
    assert (config.chunk_tokens, config.overlap_tokens) == (64, 8)
    assert sources == ["../carte"]
    update()
    with open_store(place) as store:
        assert json.loads(store.facts["config"])["chunk_tokens"] == 64


def test_what_is_asked_is_quoted_with_its_line(made):
    _, place, _ = made
    with open_library(place) as library:
        found = ask(library, "quanto costa il rimborso", SearchConfig(top=2), least=0.0)
        assert not found.weak
        best = found.quotes[0]
        assert (found.hits[best.hit].path, best.text, best.place) == (
            "carte/b.md",
            "rimborso quanto costa",
            5,
        )
        assert ask(library, "quanto", SearchConfig(), least=1.0).weak
