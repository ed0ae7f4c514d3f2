"""Cut documents into chunks that fit the embedder, along their own structure."""

from collections.abc import Callable, Iterator
from typing import Any

from fucina.errors import MissingExtraError
from fucina.records import Chunk, Document

__all__ = ["SHORTEST", "chunker", "headed"]

SHORTEST = 16  # tokens that remain for text under the longest headings


def chunker(
    tokenizer: Any, *, chunk_tokens: int, overlap_tokens: int
) -> Callable[[Document], Iterator[Chunk]]:
    """Give a function of document → chunks.

    A chunk never crosses a heading; inside a section it ends, if it can, with a paragraph, then a
    sentence, then a word. Its text stands in the file as it is.

    Args:
        tokenizer: A `tokenizers.Tokenizer` that cuts nothing, that of the embedder.
        chunk_tokens: Of headings and text together, at most.
        overlap_tokens: That a chunk repeats of the one before in its section, at most.

    Raises:
        MissingExtraError: semantic-text-splitter is not installed.
    """
    try:
        from semantic_text_splitter import MarkdownSplitter
    except ImportError as error:
        raise MissingExtraError("semantic-text-splitter", extra="rag") from error

    def length(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    splitters: dict[int, Any] = {}

    def splitter(room: int) -> Any:
        if room not in splitters:
            overlap = min(overlap_tokens, room // 2)
            splitters[room] = MarkdownSplitter.from_huggingface_tokenizer(tokenizer, room, overlap)
        return splitters[room]

    def pieces(text: str, room: int) -> Iterator[tuple[int, str, int]]:
        """Where each begins, its text, and how many tokens that has."""
        if (whole := length(text)) <= room:  # most sections: splitting tries many lengths
            yield 0, text, whole
        else:
            for offset, piece in splitter(room).chunk_indices(text):
                yield offset, piece, length(piece)

    def cut(document: Document) -> Iterator[Chunk]:
        for section in document.sections:
            above = length(headed(document.title, section.headings, ""))
            room = max(SHORTEST, chunk_tokens - above)
            for offset, text, tokens in pieces(section.text, room):
                last = section.place_at(offset + len(text) - 1)
                first = section.place_at(offset)
                yield Chunk(section.headings, text, first, last, above + tokens)

    return cut


def headed(title: str, headings: tuple[str, ...], text: str) -> str:
    r"""What the embedder and the words' index read: headings before the text.

    Example:
        >>> headed("Faro", ("Faro", "Lampada"), "Si accende alle sei.")
        'Faro › Lampada\nSi accende alle sei.'
    """
    above = headings if headings and headings[0] == title else (title, *headings)
    return f"{' › '.join(filter(None, above))}\n{text}"
