"""Find chunks on a Weaviate server: its nearest and its best by BM25, put together here.

Scores are those of the embedded search: the server has the same stems and the same BM25 but for a
constant, cosine is cosine, and both are scaled as over the whole index. What differs is that only
the first of either list are candidates, and that its graph of vectors may miss a near one.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import numpy as np

from fucina.endpoint.weaviate import Weaviate, literal
from fucina.records import Chunk, Hit
from fucina.retrieval.fusing import fused, rarity, sorted_anew
from fucina.retrieval.interface import Filed, Questions, Rerank
from fucina.retrieval.words import stems

if TYPE_CHECKING:
    from fucina.config import SearchConfig
    from fucina.retrieval.store import Store

__all__ = ["B", "K", "WeaviateSearcher", "counted", "document_key"]

K, B = 1.2, 0.75  # of BM25, as in metrics.ranking.term_weights
CANDIDATES = 100  # of either list at least, as many as Weaviate itself takes for a hybrid search
NAMES = UUID("9e3c7c0a-3f0b-5c55-9a4e-2f6a6e6c6f01")  # of all ids that are made here
READ = "document text headings first last tokens words"  # properties that make a hit


class WeaviateSearcher:
    """Remembers which documents there are, and reads them anew when another process has written.

    Args:
        local: Keeps the documents.
        weaviate: Keeps their chunks.
        name: Of the collection.
        questions: Vectors of questions, n texts to n x d.
        rerank: Scores of pairs (question, chunk), or None.
    """

    def __init__(
        self,
        local: "Store",
        weaviate: Weaviate,
        name: str,
        questions: Questions,
        rerank: Rerank | None = None,
    ) -> None:
        self._local, self._weaviate, self._name = local, weaviate, name
        self._questions, self._rerank = questions, rerank
        self._version = -1
        self._weighed: tuple[str, int, dict[str, float]] | None = None

    @property
    def documents(self) -> Mapping[int, Filed]:
        """Each document by its id."""
        self._read()
        return self._filed

    def search(
        self,
        question: str,
        config: "SearchConfig",
        *,
        vector: np.ndarray | None = None,
        without: int | None = None,
    ) -> list[Hit]:
        """The chunks that fit a question, best first.

        Args:
            question: In words.
            config: How many, how ranked, which documents.
            vector: Of the question, where it is known.
            without: Id of a document that is left out.
        """
        self._read()
        if not self._filed:
            return []
        if vector is None:
            vector = self._questions([question])[0]
        wanted = config.top if self._rerank is None else max(config.top, config.rerank_top)
        where = _where(config, self._filed[without].path if without is not None else None)
        found, edges = self._candidates(
            " ".join(stems(question)), vector, where, max(CANDIDATES, wanted)
        )
        if not found:
            return []
        words, nearness = np.array(list(found.values()), dtype=np.float32).T
        scores = fused(words, nearness, config, edges=edges)
        if config.ranking == "words":
            scores[words <= 0] = -np.inf
        order = np.argsort(-scores, kind="stable")[:wanted]
        ids = list(found)
        best = {ids[i]: (float(scores[i]), *found[ids[i]]) for i in order if scores[i] > -np.inf}
        hits = self._hits(best, question)
        if self._rerank is not None and hits:
            hits = sorted_anew(hits, self._rerank(question, [hit.chunk.text for hit in hits]))
        return hits[: config.top]

    def coverage(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Share of a question's stems that each of n texts has, weighed by their rarity here."""
        self._read()
        return self._covered(question, [set(stems(text)) for text in texts])

    def _read(self) -> None:
        version = self._local.version
        if version == self._version:
            return
        self._version = version
        self._filed = self._local.filed()
        self._by_key = {document_key(filed.path): filed for filed in self._filed.values()}

    def _candidates(
        self, asked: str, vector: np.ndarray, where: Mapping[str, Any] | None, count: int
    ) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float]]]:
        """Ids of chunks with BM25 and cosine, and the lowest and highest of both in the index."""
        near, far = ({"vector": [float(x) for x in sign * vector]} for sign in (1, -1))
        narrowed = {"where": where} if where else {}
        get = [
            self._get("near", "id distance", nearVector=near, limit=count, **narrowed),
            self._get("nearest", "distance", nearVector=near, limit=1),
            self._get("farthest", "distance", nearVector=far, limit=1),
        ]
        if asked:
            bm25 = {"query": asked, "properties": ["words"]}
            get.append(self._get("words", "id score vector", bm25=bm25, limit=count, **narrowed))
            get.append(self._get("best", "score", bm25=bm25, limit=1))
        said = self._weaviate.query(f"{{ Get {{ {' '.join(get)} }} }}")["Get"]
        rows = {name: [row["_additional"] for row in own or []] for name, own in said.items()}
        found = {row["id"]: (0.0, 1 - float(row["distance"])) for row in rows["near"]}
        for row in rows.get("words", []):
            found[row["id"]] = (_bm25(row), float(np.dot(row["vector"], vector)))
        cosines = [1 - float(row["distance"]) for row in rows["nearest"]]
        cosines += [float(row["distance"]) - 1 for row in rows["farthest"]]
        best = max(map(_bm25, rows.get("best", [])), default=0.0)
        edges = [(0.0, min(cosines)), (best, max(cosines))] if cosines else []
        return found, edges

    def _get(self, alias: str, additional: str, **arguments: object) -> str:
        told = ", ".join(f"{name}: {literal(value)}" for name, value in arguments.items())
        return f"{alias}: {self._name}({told}) {{ _additional {{ {additional} }} }}"

    def _hits(self, best: Mapping[str, tuple[float, float, float]], question: str) -> list[Hit]:
        """Read what was found; a chunk that has gone meanwhile is missing."""
        operands = [{"path": ["id"], "operator": "Equal", "valueText": one} for one in best]
        where = _joined("Or", operands)
        if where is None:
            return []
        arguments = f"where: {literal(where)}, limit: {len(best)}"
        query = f"{{ Get {{ {self._name}({arguments}) {{ {READ} _additional {{ id }} }} }} }}"
        said = self._weaviate.query(query)["Get"][self._name] or []
        # The file knows which documents there are: others are left from a run that was cut off.
        rows = {r["_additional"]["id"]: r for r in said if r["document"] in self._by_key}
        kept = [one for one in best if one in rows]
        covered = self._covered(question, [set(rows[one]["words"].split()) for one in kept])
        return [
            _hit(self._by_key[rows[one]["document"]], rows[one], best[one], float(share))
            for one, share in zip(kept, covered, strict=True)
        ]

    def _covered(self, question: str, texts: Sequence[set[str]]) -> np.ndarray:
        """Share of a question's stems in each of n sets of stems, weighed by rarity."""
        weights = self._weights(question)
        whole = sum(weights.values())
        return np.array(
            [
                sum(w for stem, w in weights.items() if stem in own) / whole if whole else 0.0
                for own in texts
            ]
        )

    def _weights(self, question: str) -> dict[str, float]:
        """Rarity of each stem of a question; the last one's are kept, as they are asked twice."""
        if self._weighed is None or self._weighed[:2] != (question, self._version):
            asked = list(dict.fromkeys(stems(question)))
            chunks, *within = counted(self._weaviate, self._name, [None, *asked])
            pairs = zip(asked, within, strict=True)
            weights = {stem: rarity(count, chunks) for stem, count in pairs}
            self._weighed = (question, self._version, weights)
        return self._weighed[2]


def counted(weaviate: Weaviate, name: str, asked: Sequence[str | None]) -> list[int]:
    """How many chunks of a collection have each of n stems, or all for None."""
    parts = []
    for number, stem in enumerate(asked):
        where = {"path": ["words"], "operator": "Equal", "valueText": stem}
        narrowed = "" if stem is None else f"(where: {literal(where)})"
        parts.append(f"n{number}: {name}{narrowed} {{ meta {{ count }} }}")
    said = weaviate.query(f"{{ Aggregate {{ {' '.join(parts)} }} }}")["Aggregate"]
    return [int(said[f"n{number}"][0]["meta"]["count"]) for number in range(len(asked))]


def document_key(path: str) -> str:
    """What the chunks of a document are filtered by: filters trim blanks, which a name may have.

    Example:
        >>> document_key("notes/a.md") == document_key("notes/a.md ")
        False
    """
    return str(uuid5(NAMES, path))


def _where(config: "SearchConfig", without: str | None) -> dict[str, Any] | None:
    """The filters of a search; a document without a date is of no day."""
    asked: list[dict[str, Any]] = []
    if config.folder:
        asked.append(_filter("folders", "Equal", config.folder.strip("/")))
    if config.tag:
        asked.append(_filter("tags", "Equal", config.tag.lower()))
    if config.since:
        asked.append(_filter("day", "GreaterThanEqual", int(config.since.replace("-", ""))))
    if config.until:
        asked.append(_filter("day", "LessThanEqual", int(config.until.replace("-", ""))))
        asked.append(_filter("day", "GreaterThan", 0))
    if without is not None:
        asked.append(_filter("document", "NotEqual", document_key(without)))
    return _joined("And", asked)


def _filter(name: str, operator: str, value: str | int) -> dict[str, Any]:
    kind = "valueInt" if isinstance(value, int) else "valueText"
    return {"path": [name], "operator": operator, kind: value}


def _joined(operator: str, operands: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    if len(operands) < 2:
        return operands[0] if operands else None
    return {"operator": operator, "operands": list(operands)}


def _bm25(row: Mapping[str, Any]) -> float:
    """BM25 as it is computed here: the server leaves a factor out that all chunks have."""
    return float(row["score"]) * (K + 1)


def _hit(
    filed: Filed, row: Mapping[str, Any], scores: tuple[float, float, float], share: float
) -> Hit:
    score, words, near = scores
    place = (int(row[name]) for name in ("first", "last", "tokens"))
    chunk = Chunk(tuple(json.loads(row["headings"])), row["text"], *place)
    return Hit(
        filed.path, filed.title, chunk, filed.unit, filed.date, filed.tags, score, near, share,
        {"bm25": round(words, 4)},
    )  # fmt: skip
