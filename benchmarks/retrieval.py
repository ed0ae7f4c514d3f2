"""How good and how quick an index is: words, vectors and both, on questions of others.

    python benchmarks/retrieval.py DATA                 # SQuAD-it's test part and Cranfield
    python benchmarks/retrieval.py DATA --speed 10000   # overhead of indexing so many chunks
    python benchmarks/retrieval.py DATA --search 100000 # milliseconds of a search in so many

Each passage is a file, each question is asked through the index as `fucina ask --questions` does;
of SQuAD-it every fifth question. Behind each way of ranking stands how far the default is ahead of
it, with the p value of paired sign flips. `--speed` embeds the same chunks without and with all that
an index does beside; `--search` fills an index with random vectors and real texts.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from encoders import RETRIEVAL

from fucina.config import IndexConfig, SearchConfig
from fucina.library import index_documents, open_library
from fucina.metrics.statistics import sign_flips
from fucina.records import Chunk, Document
from fucina.retrieval import Searcher, find_sources, open_embedder, open_store, update
from fucina.retrieval.chunking import headed
from fucina.retrieval.interface import Entry
from fucina.retrieval.judging import Known, mean_of, ranking_scores
from fucina.retrieval.words import stems

WAYS = ("scores", "words", "vectors", "ranks")
BLOCK = 1000  # files that are indexed before the embedder has its turn
SHOWN = ("recall@5", "MRR", "nDCG@10")


def write(passages, folder):
    folder.mkdir(parents=True)
    for number, text in enumerate(passages):
        (folder / f"{number:06}.txt").write_text(text, encoding="utf-8")


def quality(data):
    print(f"| set | ranking | {' | '.join(SHOWN)} | default ahead by | p |")
    print("|---|---|" + "---|" * len(SHOWN) + "---:|---:|")
    for name, read in RETRIEVAL.items():
        passages, questions, relevant = read(data, False)
        known = [
            Known(question, (), frozenset(f"{number:06}" for number in right))
            for question, right in zip(questions, relevant, strict=True)
            if right
        ]
        with TemporaryDirectory() as place:
            write(passages, Path(place) / "pages")
            index_documents(Path(place) / "index", [Path(place) / "pages"])
            with open_library(Path(place) / "index") as library:
                vectors = library.embedder.questions([one.question for one in known])
                best = None
                for way in WAYS:
                    config = SearchConfig(ranking=way, top=50)
                    found = [
                        library.searcher.search(one.question, config, vector=vector)
                        for one, vector in zip(known, vectors, strict=True)
                    ]
                    scores = ranking_scores(found, known)
                    gains = scores["nDCG@10"]
                    best = gains if best is None else best
                    ahead = (
                        f"{(best - gains).mean():+.3f} | {sign_flips(best - gains):.4f}"
                        if way != "scores"
                        else " | "
                    )
                    cells = [str(mean_of(scores[metric])) for metric in SHOWN]
                    print(f"| {name} | {way} | {' | '.join(cells)} | {ahead} |", flush=True)


def overhead(data, count):
    """Blocks take turns, so that what else runs on the machine slows both sides alike."""
    passages, _, _ = RETRIEVAL["SQuAD-it"](data, False)
    texts = [f"{passages[i % len(passages)]} {i}" for i in range(count)]
    ratios, wholes, alones, chunks = [], 0.0, 0.0, 0
    config = IndexConfig()
    with (
        TemporaryDirectory() as place,
        open_embedder(config) as embedder,
        open_store(Path(place) / "index", create=True) as store,
    ):
        for begin in range(0, count, BLOCK):
            write(texts[begin : begin + BLOCK], Path(place) / "pages" / str(begin))
            began = time.perf_counter()
            done = update(store, find_sources([Path(place) / "pages"]), embedder, config)
            whole = time.perf_counter() - began
            ids = store.arrays().ids[chunks:].tolist()
            # With what the index puts before each: a title, here the file's name.
            bodies = [headed("000000", (), chunk.text) for chunk in store.chunks(ids).values()]
            began = time.perf_counter()
            for first in range(0, len(bodies), 128):
                embedder.passages(bodies[first : first + 128])
            alone = time.perf_counter() - began
            chunks, wholes, alones = done.chunks, wholes + whole, alones + alone
            ratios.append(whole / alone)
            print(f"{chunks:,} chunks: this block {ratios[-1]:.3f} times", flush=True)
    print(
        f"{chunks:,} chunks: {wholes:.1f} s, the embedder alone {alones:.1f} s: {wholes / alones:.3f} "
        f"times; the median block {np.median(ratios):.3f}"
    )


def latency(data, count):
    passages, questions, _ = RETRIEVAL["SQuAD-it"](data, False)
    random = np.random.default_rng(0)
    with TemporaryDirectory() as place, open_store(Path(place) / "index", create=True) as store:
        for begin in range(0, count, 1000):
            texts = [f"{passages[(begin + i) % len(passages)]} {begin + i}" for i in range(1000)]
            vectors = random.standard_normal((len(texts), 384)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            chunks = [Chunk((), text, 1, 1, 200) for text in texts]
            store.put(
                f"{begin}.txt", Entry(str(begin), 0, 0), Document(str(begin), ()), chunks, vectors,
                [list(stems(text)) for text in texts],
            )  # fmt: skip
        searcher = Searcher(store, lambda asked: vectors[: len(asked)])
        began = time.perf_counter()
        searcher.search(questions[0], SearchConfig(), vector=vectors[0])
        first = time.perf_counter() - began
        taken = []
        for question in questions[1:401]:
            began = time.perf_counter()
            searcher.search(question, SearchConfig(), vector=vectors[len(taken) % 1000])
            taken.append((time.perf_counter() - began) * 1000)
    p50, p95 = np.quantile(taken, [0.5, 0.95])
    print(f"{count:,} chunks: p50 {p50:.1f} ms, p95 {p95:.1f} ms; opened in {first:.1f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--speed", type=int)
    parser.add_argument("--search", type=int)
    arguments = parser.parse_args()
    if arguments.speed:
        overhead(arguments.data, arguments.speed)
    if arguments.search:
        latency(arguments.data, arguments.search)
    if not (arguments.speed or arguments.search):
        quality(arguments.data)


if __name__ == "__main__":
    main()
