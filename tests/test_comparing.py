"""What a second run changed against a first."""

import pytest

from fucina import comparing, flow
from fucina.errors import RunError
from fucina.recipe import parse
from fucina.records import Change, Comparison, Interval


@pytest.fixture(scope="module")
def pair(make_base, tmp_path_factory):
    """Two runs on the same rows that differ in the rank of the adapter."""
    folder = tmp_path_factory.mktemp("pair")
    texts = [f"{word} {place} {label}" for label in ("reso", "prezzo") for word in ("il", "la", "un", "dove", "quando")
             for place in ("pacco", "ordine", "app")]  # fmt: skip
    lines = "\n".join(f"{text},{text.rpartition(' ')[2]}" for text in texts)
    (folder / "rows.csv").write_text(f"text,label\n{lines}\n", encoding="utf-8")
    found = []
    for rank in (2, 4):
        recipe, _ = parse(
            f"{{task: classification, name: r{rank}, output: '{folder}', data: {{train: rows.csv}}, "
            f"model: {{base: '{make_base('bert')}'}}, adapter: {{rank: {rank}}}, "
            "training: {epochs: 1}, evaluation: {baselines: [], bootstrap_samples: 100}}"
        )
        flow.train(recipe, folder)
        found.append(folder / f"r{rank}")
    return found


def test_a_change_has_scores_settings_and_a_test(pair):
    found = comparing.change(*pair)
    assert found.settings == {"adapter.rank": (2, 4)}
    assert found.rows[0] == found.rows[1]
    assert set(found.comparison.differences) <= set(found.before)
    gain = found.comparison.differences["accuracy"].value
    assert found.after["accuracy"].value - found.before["accuracy"].value == pytest.approx(gain)


def test_a_leaderboard_knows_each_run_once_with_its_costs(pair):
    board = comparing.leaderboard([*pair, pair[0]])
    (one,) = board.contests
    assert len(one.standings) == 2
    assert {"latency_p50_ms", "peak_memory_mib", "training_s", "adapter_mib"} == set(
        one.standings[0].cost
    )
    assert one.metric == "accuracy"


def test_a_run_that_is_not_complete_is_refused(pair, tmp_path):
    for name in ("recipe.yaml", "environment.json"):
        (tmp_path / name).write_bytes((comparing.run.find(pair[0]) / name).read_bytes())
    with pytest.raises(RunError, match="not complete"):
        comparing.leaderboard([pair[0], tmp_path])


def test_the_relative_change_is_of_the_size_before_and_none_of_nothing():
    same = Comparison("a", "b", {}, 1.0, "")
    scores = [
        {"loss": Interval(v, v, v), "none": Interval(w, w, w)}
        for v, w in ((-2.0, 0.0), (-1.0, 1.0))
    ]
    found = Change(scores[0], scores[1], same, {}, (1, 1))
    assert found.relative("loss") == 0.5
    assert found.relative("none") is None
