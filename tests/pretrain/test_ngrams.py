"""The n-gram model: against a slow one of plain dictionaries, as a distribution, and on text."""

import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fucina.tasks
from fucina.errors import DataError, RecipeError
from fucina.pretrain import ngrams
from fucina.pretrain.ngram_counts import LARGEST_VOCABULARY, count_ngrams
from fucina.pretrain.ngrams import NGrams, bits_per_byte

SEEDS = st.integers(0, 10_000)


class Slow:
    """Modified Kneser-Ney as the papers write it, one n-gram at a time."""

    def __init__(self, streams, order, vocabulary):
        self.order, self.vocabulary = order, vocabulary
        self.counts = {n: Counter() for n in range(1, order + 1)}
        for n in range(1, order):
            left = defaultdict(set)
            for stream in streams:
                for end in range(n, len(stream) + 1):
                    before = stream[end - n - 1] if end > n else "beginning"
                    left[tuple(stream[end - n : end])].add(before)
            self.counts[n] = Counter({gram: len(seen) for gram, seen in left.items()})
        for stream in streams:
            for end in range(order, len(stream) + 1):
                self.counts[order][tuple(stream[end - order : end])] += 1
        self.discounts = {n: self._discounts(n) for n in self.counts}
        self.followers = {n: defaultdict(list) for n in self.counts}
        for n, counts in self.counts.items():
            for gram, count in counts.items():
                self.followers[n][gram[:-1]].append(count)

    def _discounts(self, n):
        times = Counter(self.counts[n].values())
        if times[1] and times[2] and times[3]:
            y = times[1] / (times[1] + 2 * times[2])
            found = [k - (k + 1) * y * times[k + 1] / times[k] for k in (1, 2, 3)]
            if all(0 < found[k - 1] <= k for k in (1, 2, 3)):
                return tuple(found)
        return (0.5, 1.0, 1.5)

    def probability(self, context, token):
        n = len(context) + 1
        lower = self.probability(context[1:], token) if context else 1 / self.vocabulary
        following = self.followers[n][context]
        if not following:
            return lower
        take = lambda count: self.discounts[n][min(count, 3) - 1]  # noqa: E731
        count = self.counts[n][(*context, token)]
        own = count - take(count) if count else 0.0
        return (own + sum(map(take, following)) * lower) / sum(following)

    def log2_probabilities(self, ids):
        return [
            math.log2(self.probability(tuple(ids[max(0, at - self.order + 1) : at]), token))
            for at, token in enumerate(ids)
        ]


def _streams(seed, vocabulary, lengths):
    """Rows in which some tokens are frequent and what follows depends on the token before."""
    rng = np.random.default_rng(seed)
    after = rng.dirichlet(np.full(vocabulary, 0.15), vocabulary)
    streams = []
    for length in lengths:
        stream = [int(rng.integers(vocabulary))] if length else []
        while len(stream) < length:
            stream.append(int(rng.choice(vocabulary, p=after[stream[-1]])))
        streams.append(np.array(stream, dtype=np.uint16))
    return streams


def _lists(streams):
    return [stream.tolist() for stream in streams]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@given(
    seed=SEEDS,
    vocabulary=st.integers(1, 30),
    lengths=st.lists(st.integers(0, 150), min_size=1, max_size=4).filter(any),
)
@settings(max_examples=40, deadline=None)
def test_it_equals_the_slow_model(order, seed, vocabulary, lengths):
    streams = _streams(seed, vocabulary, lengths)
    held_out = np.random.default_rng(seed).integers(0, vocabulary, 60)
    held_out[20:40] = np.resize(np.concatenate(streams), 20)
    slow = Slow(_lists(streams), order, vocabulary)
    model = NGrams.learn(streams, order=order, vocabulary=vocabulary)
    expected = slow.log2_probabilities(held_out.tolist())
    np.testing.assert_allclose(model.log2_probabilities(held_out), expected, rtol=0, atol=1e-9)


def test_it_equals_the_slow_model_where_all_discounts_are_estimated():
    rng = np.random.default_rng(3)
    stream = np.minimum(rng.zipf(1.3, 8000) - 1, 199)
    slow = Slow([stream.tolist()], 5, 200)
    model = NGrams.learn([stream], order=5, vocabulary=200)
    found = [level.discounts for level in model.levels]
    assert sum(discounts != ngrams.FALLBACK for discounts in found) >= 3
    np.testing.assert_allclose(found, list(slow.discounts.values()), rtol=1e-12)
    held_out = np.minimum(rng.zipf(1.3, 1000) - 1, 199)
    expected = slow.log2_probabilities(held_out.tolist())
    np.testing.assert_allclose(model.log2_probabilities(held_out), expected, rtol=0, atol=1e-9)


@given(seed=SEEDS, order=st.integers(1, 5), size=st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_probabilities_after_any_context_sum_to_1(seed, order, size):
    vocabulary = 17  # the text has 12 of them
    streams = _streams(seed, 12, [size, size // 2])
    model = NGrams.learn(streams, order=order, vocabulary=vocabulary)
    rng = np.random.default_rng(seed)
    seen = [streams[0][at : at + length] for at in (0, size // 3, size - 1) for length in (1, 4, 6)]
    ends = [stream[-4:] for stream in streams]  # nothing follows the last n-gram of a stream
    unseen = [rng.integers(0, vocabulary, length) for length in range(6)]
    for context in [*seen, *ends, *unseen]:
        rows = [[*context.tolist(), token] for token in range(vocabulary)]
        chances = [2 ** model.log2_probabilities(np.array(row))[-1] for row in rows]
        assert math.fsum(chances) == pytest.approx(1, abs=1e-12)
        assert min(chances) > 0


def test_a_hand_counts_the_same():
    """The text a b a b a c, order 2: a is seen before b twice and before c once."""
    model = NGrams.learn([np.array([0, 1, 0, 1, 0, 2])], order=2, vocabulary=4)
    assert [level.discounts for level in model.levels] == [ngrams.FALLBACK] * 2
    # Different tokens before a: the beginning and b; before b: a; before c: a; before d: none.
    freed = 1.0 + 0.5 + 0.5
    single = [(2 - 1.0 + freed / 4) / 4, (1 - 0.5 + freed / 4) / 4, freed / 4 / 4]
    after_a = [(2 - 1.0 + 1.5 * single[1]) / 3, 1.5 * single[2] / 3]
    chances = 2 ** model.log2_probabilities(np.array([0, 1]))
    np.testing.assert_allclose(chances, [single[0], after_a[0]], rtol=1e-12)
    np.testing.assert_allclose(
        2 ** model.log2_probabilities(np.array([3, 0, 3])), [single[2], single[0], after_a[1]]
    )


def test_ngrams_do_not_run_from_one_stream_into_the_next():
    apart = count_ngrams([np.array([0, 1]), np.array([2, 3])], order=2, vocabulary=4)
    joined = count_ngrams([np.array([0, 1, 2, 3])], order=2, vocabulary=4)
    assert [divmod(int(key), 4) for key in apart[1].keys] == [(0, 1), (2, 3)]
    assert [divmod(int(key), 4) for key in joined[1].keys] == [(0, 1), (1, 2), (2, 3)]
    # However many streams begin with it, the beginning is one token before it.
    many = count_ngrams([np.array([0, 1])] * 5, order=2, vocabulary=4)
    assert many[0].counts.tolist() == [1, 1, 0, 0]
    assert many[1].counts.tolist() == [5]


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_counts_do_not_depend_on_the_pieces(piece):
    streams = _streams(1, 20, [300, 0, 1, 200])
    whole = count_ngrams(streams, order=4, vocabulary=20)
    parts = count_ngrams(streams, order=4, vocabulary=20, piece=piece)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.keys, other.keys)
        np.testing.assert_array_equal(one.counts, other.counts)


def test_probabilities_do_not_depend_on_the_blocks(monkeypatch):
    streams = _streams(2, 20, [500])
    held_out = streams[0][100:300]  # whose longest contexts are known, so that one too few shows
    whole = NGrams.learn(streams, vocabulary=20).log2_probabilities(held_out)
    monkeypatch.setattr(ngrams, "BLOCK", 7)
    parts = NGrams.learn(streams, vocabulary=20).log2_probabilities(held_out)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("vocabulary", [65_535, 65_536, 70_000, LARGEST_VOCABULARY])
def test_the_last_token_of_a_large_vocabulary_is_told_from_the_gap(vocabulary):
    rng = np.random.default_rng(0)
    top = (vocabulary - 1 - rng.integers(0, 5, 300)).astype(np.uint32)
    low = rng.integers(0, 5, 300).astype(np.uint32)
    streams = [top, low, np.array([], dtype=np.uint32)]
    slow = Slow(_lists(streams), 5, vocabulary)
    model = NGrams.learn(streams, vocabulary=vocabulary)
    held_out = np.concatenate([top[50:80], low[50:80]])
    expected = slow.log2_probabilities(held_out.tolist())
    np.testing.assert_allclose(model.log2_probabilities(held_out), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["uint16", "int32", "int64", "uint64"])
def test_any_integer_type_and_a_mapped_file_learn_the_same(kind, tmp_path):
    stream = _streams(4, 20, [400])[0]
    np.save(tmp_path / "tokens.npy", stream.astype(kind))
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    model = NGrams.learn([mapped], vocabulary=20)
    expected = NGrams.learn([stream], vocabulary=20).log2_probabilities(stream)
    np.testing.assert_array_equal(model.log2_probabilities(mapped), expected)


def test_a_text_of_one_token_and_an_empty_question():
    model = NGrams.learn([np.array([2])], vocabulary=4)
    assert 2 ** model.log2_probabilities(np.array([2]))[0] == pytest.approx(0.5 + 0.5 / 4)
    np.testing.assert_allclose(
        2 ** model.log2_probabilities(np.array([1, 1, 2])), [0.125, 0.125, 0.625]
    )
    assert model.log2_probabilities(np.array([], dtype=np.uint16)).shape == (0,)


def test_more_context_costs_fewer_bits_on_text_it_has_not_seen():
    """Bytes of the sample messages that ship with the tasks; every fifth is held out."""
    folder = Path(fucina.tasks.__file__).parent
    rows = (folder / "classification" / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [" ".join(str(value) for value in json.loads(row).values()) for row in rows]
    learnt = "\n".join(text for at, text in enumerate(texts) if at % 5)
    held_out = "\n".join(texts[::5]).encode()
    costs = []
    for order in (1, 2, 3, 5):
        model = NGrams.learn(
            [np.frombuffer(learnt.encode(), np.uint8)], order=order, vocabulary=256
        )
        found = model.log2_probabilities(np.frombuffer(held_out, np.uint8))
        costs.append(bits_per_byte(found, len(held_out)))
    assert 8 > costs[0] > costs[1] > costs[2] > costs[3] > 1, costs


def test_bits_per_byte_of_a_model_that_knows_nothing():
    assert bits_per_byte(np.full(10, -13.0), 40) == pytest.approx(13 * 10 / 40)
    with pytest.raises(DataError, match="0 bytes"):
        bits_per_byte(np.array([]), 0)


def test_progress_names_each_order():
    told = []
    NGrams.learn(
        [np.array([0, 1])], order=3, vocabulary=2, progress=lambda *said: told.append(said)
    )
    assert told[:3] == [("counting n-grams", done, 3) for done in range(3)]


def test_what_cannot_be_counted_says_why():
    with pytest.raises(DataError, match="0 tokens"):
        NGrams.learn([], vocabulary=4)
    with pytest.raises(DataError, match=r"token 4 is not in 0\.\.3"):
        NGrams.learn([np.array([0, 4])], vocabulary=4)
    with pytest.raises(DataError, match="token -1"):
        NGrams.learn([np.array([0, -1])], vocabulary=4)
    with pytest.raises(DataError, match="float64"):
        NGrams.learn([np.array([0.5])], vocabulary=4)
    with pytest.raises(DataError, match="2 axes"):
        NGrams.learn([np.array([[0, 1]])], vocabulary=4)
    with pytest.raises(RecipeError, match="0 tokens"):
        NGrams.learn([np.array([0])], order=0, vocabulary=4)
    with pytest.raises(RecipeError, match="vocabulary of 0"):
        NGrams.learn([np.array([0])], vocabulary=0)
    model = NGrams.learn([np.array([0])], vocabulary=4)
    with pytest.raises(DataError, match="token 9"):
        model.log2_probabilities(np.array([9]))
