"""An index whose chunks are on a Weaviate server; its own file keeps which documents they are of.

A document goes in three steps: the file notes that it is on its way, the server gets its chunks
under ids that follow from its name, the file notes that it is there. Whatever is cut off in between
is written again by the next run, over itself, and nothing that the file does not know is shown.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4, uuid5

import numpy as np

from fucina.endpoint.weaviate import Weaviate
from fucina.errors import RunError
from fucina.records import Chunk, Document
from fucina.retrieval.interface import Entry, Questions, Rerank
from fucina.retrieval.store import Store
from fucina.retrieval.weaviate_searching import B, K, WeaviateSearcher, counted, document_key

__all__ = ["COLLECTION", "WeaviateStore"]

COLLECTION = "collection"  # the fact that names it
ON_ITS_WAY = Entry("", 0, 0)  # no file is like this, so that the next run reads it again
DIGITS = 7  # of a number of a vector, which is float32 there


class WeaviateStore:
    """Remembers the file of the facts and the server with the chunks.

    Args:
        local: Facts and documents.
        weaviate: Where the chunks are.
        fingerprint: Of the embedder, which the collection tells too.
    """

    def __init__(self, local: Store, weaviate: Weaviate, fingerprint: str) -> None:
        self._local, self._weaviate, self._fingerprint = local, weaviate, fingerprint
        self.path = local.path
        self.known, self.touch = local.known, local.touch
        self._name = local.facts.get(COLLECTION) or _named(local.path.parent.name)
        self._made = False

    @property
    def facts(self) -> dict[str, str]:
        """What the index was made with."""
        return self._local.facts

    def require_whole(self) -> None:
        """Check that the server has the collection that the file tells of.

        Raises:
            RunError: It has none, or one of another embedder.
        """
        if COLLECTION not in self.facts:
            return
        fix = "Set weaviate_url to where it is, or embed all again: fucina index --to FOLDER --anew"
        there = self._weaviate.collection(self._name)
        if there is None and self._local.count()[0]:
            raise RunError(
                f"{self._weaviate.url} has no collection {self._name}, where {self.path.parent} "
                "keeps its chunks.",
                fix=f"{fix}.",
            )
        if there is not None and not str(there.get("description")).endswith(self._fingerprint):
            raise RunError(
                f"the collection {self._name} of {self._weaviate.url} was made by another "
                f"embedder: {there.get('description')!r}, now {self._fingerprint}.",
                fix=f"{fix}.",
            )
        self._made = there is not None

    def note(self, facts: Mapping[str, str]) -> None:
        """Keep facts; the first ones make the collection."""
        # The file first: a collection that no file tells of would stay for good.
        self._local.note({**facts, COLLECTION: self._name})
        if not self._made:
            self._weaviate.create(_definition(self._name, self._fingerprint))
            self._made = True

    def put(
        self,
        path: str,
        entry: Entry,
        document: Document,
        chunks: Sequence[Chunk],
        vectors: np.ndarray,
        stems: Sequence[Sequence[str]],
    ) -> None:
        """Put a document in, in the place of the one that was there under its path.

        A reader may find chunks of both while this goes on.
        """
        none = np.zeros((0, 0))
        self._local.put(path, ON_ITS_WAY, document, (), none, ())
        rows = zip(chunks, vectors, stems, strict=True)
        objects = [
            self._object(path, document, number, *row) for number, row in enumerate(rows)
        ]  # fmt: skip
        self._weaviate.put(objects)
        longer = {"path": ["number"], "operator": "GreaterThanEqual", "valueInt": len(chunks)}
        both = {"operator": "And", "operands": [_of(path), longer]}
        self._weaviate.delete(self._name, both)
        self._local.put(path, entry, document, (), none, ())

    def drop(self, paths: Iterable[str]) -> None:
        """Take documents out."""
        for path in paths:
            self._weaviate.delete(self._name, _of(path))
            self._local.drop([path])

    def clear(self) -> None:
        """Take everything out, facts too; the collection goes and is made again by facts."""
        # The server first: a file with documents and no collection is told, the other way round
        # would be chunks of documents that nobody knows.
        self._weaviate.remove(self._name)
        self._local.clear()
        self._made = False

    def count(self) -> tuple[int, int]:
        """Documents as the file knows them, and chunks as the server counts them."""
        if not self._made:
            return self._local.count()
        return self._local.count()[0], counted(self._weaviate, self._name, [None])[0]

    def finder(self, questions: Questions, rerank: Rerank | None = None) -> WeaviateSearcher:
        """What searches it, on the server."""
        return WeaviateSearcher(self._local, self._weaviate, self._name, questions, rerank)

    def _object(
        self,
        path: str,
        document: Document,
        number: int,
        chunk: Chunk,
        vector: np.ndarray,
        stems: Sequence[str],
    ) -> dict[str, Any]:
        folders = path.split("/")
        return {
            "class": self._name,
            "id": str(uuid5(UUID(document_key(path)), f"{self._name} {number}")),
            "vector": np.round(vector.astype(np.float64), DIGITS).tolist(),
            "properties": {
                "document": document_key(path),
                "number": number,
                "path": path,
                "title": document.title,
                "text": chunk.text,
                "words": " ".join(stems),
                "headings": json.dumps(chunk.headings, ensure_ascii=False),
                "first": chunk.first,
                "last": chunk.last,
                "tokens": chunk.tokens,
                "folders": ["/".join(folders[:end]) for end in range(1, len(folders) + 1)],
                "tags": [tag.lower() for tag in document.tags],
                "day": int(document.date.replace("-", "") or 0),
            },
        }


def _of(path: str) -> dict[str, Any]:
    return {"path": ["document"], "operator": "Equal", "valueText": document_key(path)}


def _named(folder: str) -> str:
    """A name for a collection that shows the index and that no other has."""
    return f"Fucina_{re.sub(r'[^A-Za-z0-9]+', '_', folder)[:40]}_{uuid4().hex[:8]}"


def _definition(name: str, fingerprint: str) -> dict[str, Any]:
    """A collection whose BM25 is that of the embedded store: our stems, no stop words."""
    whole = {"tokenization": "field", "indexFilterable": True, "indexSearchable": False}
    unread = {"indexFilterable": False, "indexSearchable": False}
    told = [
        ("document", "text", whole),
        ("number", "int", {"indexFilterable": True}),
        ("path", "text", unread),
        ("title", "text", unread),
        ("text", "text", unread),
        ("words", "text", {"tokenization": "whitespace", "indexSearchable": True}),
        ("headings", "text", unread),
        ("first", "int", {"indexFilterable": False}),
        ("last", "int", {"indexFilterable": False}),
        ("tokens", "int", {"indexFilterable": False}),
        ("folders", "text[]", whole),
        ("tags", "text[]", whole),
        ("day", "int", {"indexFilterable": True}),
    ]
    return {
        "class": name,
        "description": f"Chunks of an index of Fucina, embedder {fingerprint}",
        "vectorizer": "none",
        "vectorIndexConfig": {"distance": "cosine"},
        "invertedIndexConfig": {"bm25": {"k1": K, "b": B}, "stopwords": {"preset": "none"}},
        "properties": [{"name": n, "dataType": [kind], **more} for n, kind, more in told],
    }
