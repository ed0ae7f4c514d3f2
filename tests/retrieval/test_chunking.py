import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fucina.config import IndexConfig
from fucina.records import Document, Section
from fucina.retrieval import open_embedder
from fucina.retrieval.chunking import chunker, headed
from fucina.retrieval.formats.markdown import sections_of


@pytest.fixture(scope="module")
def tokenizer():
    with open_embedder(IndexConfig()) as embedder:
        yield embedder.tokenizer


WORDS = st.sampled_from("il faro è città perché l'acqua. lampada? Sì! 18:30 - # > | 😀 a".split())
LINES = st.lists(WORDS, max_size=30).map(" ".join)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, min_size=1, max_size=30).map("\n".join), st.integers(16, 64))
def test_chunks_stand_in_the_file_and_fit(tokenizer, text, size):
    lines = text.splitlines()
    document = Document("Faro", tuple(sections_of(text)))
    cut = chunker(tokenizer, chunk_tokens=size, overlap_tokens=size // 4)
    found = list(cut(document))
    for chunk in found:
        count = len(
            tokenizer.encode(
                headed("Faro", chunk.headings, chunk.text), add_special_tokens=False
            ).ids
        )
        assert chunk.tokens <= max(size, count)
        assert chunk.first <= chunk.last <= len(lines)
        own = chunk.text.split("\n")
        assert own[0].strip() in lines[chunk.first - 1]
        assert own[-1].strip() in lines[chunk.last - 1]
    # Nothing of a section is lost.
    for section in document.sections:
        whole = " ".join(c.text for c in found if c.headings == section.headings)
        assert not [word for word in re.findall(r"\w+", section.text) if word not in whole]


def test_a_chunk_keeps_to_its_budget_and_repeats_some(tokenizer):
    text = " ".join(f"La frase numero {n} parla del faro." for n in range(100))
    document = Document("T", (Section(("T",), text, ((0, 1),)),))
    found = list(chunker(tokenizer, chunk_tokens=64, overlap_tokens=16)(document))
    assert all(chunk.tokens <= 64 for chunk in found)
    assert len(found) > 10
    for before, after in pairwise(found):
        assert after.text.split(".")[0] in before.text  # the last sentence comes again
    none = list(chunker(tokenizer, chunk_tokens=64, overlap_tokens=0)(document))
    assert " ".join(chunk.text for chunk in none) == text
    assert all(chunk.text.endswith(".") for chunk in none)  # it ends with sentences


def test_a_chunk_never_crosses_a_heading(tokenizer):
    document = Document("T", tuple(sections_of("# T\na\n## U\nb\n## V\nc\n")))
    found = list(chunker(tokenizer, chunk_tokens=64, overlap_tokens=16)(document))
    assert [(c.headings, c.text, c.first) for c in found] == [
        (("T",), "a", 2), (("T", "U"), "b", 4), (("T", "V"), "c", 6),
    ]  # fmt: skip


def test_a_tokenizer_that_cuts_still_counts_whole_texts(tokenizer):
    """The file of the embedded encoder says to cut at 160."""
    assert len(tokenizer.encode("faro " * 500, add_special_tokens=False).ids) >= 500
