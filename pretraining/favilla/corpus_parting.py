"""What goes to training and what is held out: no text, book or near duplicate is in both."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from hashlib import sha256

from corpus_cleaning import sentences
from corpus_duplicates import (
    LEAK,
    RepeatedLines,
    frequent_lines,
    same_book,
    similar_pairs,
    without_duplicates,
)
from corpus_sources import Source

__all__ = ["Collected", "Document", "drop_repeated_lines", "part_novels", "part_others"]

PASSAGE = 8000  # characters of a row of a novel: about 2,000 tokens
HELD_BYTES = 250_000  # held out of a source, and never more than
HELD_SHARE = 0.05
HELD_BOOKS = 3
BOILERPLATE = 8  # documents that a line may stand in


@dataclass(frozen=True)
class Document:
    """A row: running text, or the turns of a conversation."""

    id: str
    group: str
    text: str
    messages: list[dict[str, str]] | None = None

    @property
    def bytes(self) -> int:
        """Of the text alone, in UTF-8."""
        return len(self.text.encode())

    def line(self) -> str:
        """As it is written."""
        content = {"messages": self.messages} if self.messages else {"text": self.text}
        return json.dumps({"id": self.id, **content}, ensure_ascii=False) + "\n"


@dataclass
class Collected:
    """A source's documents on their way, and what was dropped of it."""

    source: Source
    documents: list[Document]
    read: int
    heldout: list[Document] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def part_novels(collected: list[Collected]) -> None:
    """Cut books to passages; of a held-out book a stretch is held out and the rest is not used."""
    books = [(book.id, book.text) for one in collected for book in one.documents]
    twice = same_book(books)
    lines = RepeatedLines(shortest=120)
    for one in collected:
        whole = [book for book in one.documents if book.id not in twice]
        one.dropped["books that another source or edition has"] += len(one.documents) - len(whole)
        total = sum(book.bytes for book in whole)
        wanted = min(HELD_BYTES, HELD_SHARE * total)
        held = {book.id for book in _by_hash(whole)[:HELD_BOOKS]} if len(whole) > HELD_BOOKS else ()
        one.documents = []
        before = lines.count
        for book in whole:
            passages = _passages(book, lines.drop(book.text))
            if book.id not in held:
                one.documents += passages
                continue
            part = _stretch(passages, wanted / HELD_BOOKS)
            one.heldout += part
            one.dropped["passages of held-out books that are in neither"] += len(passages) - len(
                part
            )
        one.dropped["paragraphs that a book had before"] += lines.count - before


def _passages(book: Document, text: str) -> list[Document]:
    """Cut at the ends of paragraphs; those longer than a passage at the ends of sentences."""
    pieces = [
        piece
        for paragraph in text.split("\n")
        for piece in (sentences(paragraph) if len(paragraph) > PASSAGE else [paragraph])
    ]
    passages: list[list[str]] = [[]]
    size = 0
    for piece in pieces:
        if size + len(piece) > PASSAGE and passages[-1]:
            passages.append([])
            size = 0
        passages[-1].append(piece)
        size += len(piece)
    join = "\n" if len(pieces) < 2 * len(text.split("\n")) else " "
    return [
        Document(f"{book.id}/{number:03}", book.group, join.join(passage))
        for number, passage in enumerate(passages)
    ]


def _stretch(passages: list[Document], size: float) -> list[Document]:
    """Consecutive passages from a third of the book on."""
    part, taken = [], 0
    for passage in passages[len(passages) // 3 :]:
        if taken >= size:
            break
        part.append(passage)
        taken += passage.bytes
    return part


def drop_repeated_lines(collected: list[Collected]) -> None:
    """Across all documentation: lines of the site, and paragraphs that came before."""
    often = frequent_lines(
        (page.text for one in collected for page in one.documents), documents=BOILERPLATE
    )
    lines = RepeatedLines(shortest=40)
    for one in collected:
        kept = []
        before = lines.count
        for page in one.documents:
            rows = [line for line in page.text.split("\n") if line not in often]
            one.dropped["lines that stand in very many pages"] += (
                page.text.count("\n") + 1 - len(rows)
            )
            text = lines.drop("\n".join(rows))
            # What is left of a page whose paragraphs all came before says little.
            if len(text) < max(200, 0.3 * len(page.text)):
                one.dropped["pages of which little was new"] += 1
            else:
                kept.append(Document(page.id, page.group, text))
        one.documents = kept
        one.dropped["paragraphs that another page had"] += lines.count - before


def part_others(collected: list[Collected]) -> None:
    """Drop near duplicates across sources, hold out by the hash of the group, and drop leaks."""
    documents = [document for one in collected for document in one.documents]
    pairs = similar_pairs([_compared(document) for document in documents])
    twice = {documents[place].id for place in without_duplicates(len(documents), pairs)}
    held: set[str] = set()
    groups: defaultdict[str, set[str]] = defaultdict(set)
    had: defaultdict[str, set[str]] = defaultdict(set)
    for one in collected:
        before = len(one.documents)
        one.documents = [document for document in one.documents if document.id not in twice]
        one.dropped["near duplicates"] += before - len(one.documents)
        domain = one.source.domain
        chosen = _heldout(one.documents, groups[domain], had[domain])
        had[domain] |= {document.group for document in one.documents}
        one.heldout = [document for document in one.documents if document.group in chosen]
        groups[one.source.domain] |= chosen
        held |= {document.id for document in one.heldout}
    leaking = set()
    for first, second, share in pairs:
        ids = documents[first].id, documents[second].id
        if share >= LEAK and len(held.intersection(ids)) == 1:
            leaking |= set(ids) - held
    for one in collected:
        # A group that another source of the domain holds out is held out here as well.
        apart = groups[one.source.domain]
        rest = [document for document in one.documents if document.id not in held]
        kept = [d for d in rest if d.id not in leaking and d.group not in apart]
        one.dropped["too near to a held-out document"] += len(rest) - len(kept)
        one.documents = kept


def _compared(document: Document) -> str:
    """What duplicates are sought by: the instructions of a system turn are not the row's own."""
    if not document.messages:
        return document.text
    return "\n".join(turn["content"] for turn in document.messages if turn["role"] != "system")


def _heldout(documents: list[Document], taken: set[str], trained: set[str]) -> set[str]:
    """Groups in the order of their hashes until there is enough.

    What an earlier source of the domain holds out comes first, and what it trains on never.
    """
    sizes: Counter[str] = Counter()
    for document in documents:
        sizes[document.group] += document.bytes
    wanted = min(HELD_BYTES, HELD_SHARE * sizes.total())
    chosen: set[str] = {group for group in taken if group in sizes}
    size = sum(sizes[group] for group in chosen)
    for group in sorted(sizes, key=_hash):
        if size >= wanted:
            break
        # One that would be more than half of it, such as a very long page, stays in training.
        if group not in chosen and group not in trained and sizes[group] < wanted / 2:
            chosen.add(group)
            size += sizes[group]
    return chosen


def _hash(name: str) -> str:
    return sha256(f"heldout {name}".encode()).hexdigest()


def _by_hash(documents: list[Document]) -> list[Document]:
    return sorted(documents, key=lambda document: _hash(document.id))
