"""Who is best at which task, and how surely."""

import csv
import io

from fucina import evaluate
from fucina.errors import RunError
from fucina.records import Comparison, Contest, Interval, Leaderboard, Standing


def _standing(name, value):
    return Standing(
        name, name.partition("/")[0], Interval(value, value - 0.1, value + 0.1), {"training_s": 3.0}
    )


def _contest(metric, scores, sure):
    """A contest whose test finds only the pairs in `sure` different."""

    def compare(first, second):
        if (first, second) in sure:
            return Comparison(first, second, {}, 0.001, f"{second} is better than {first}")
        return Comparison(first, second, {}, 0.4, "no measurable difference")

    empty = Contest("chat", metric, 50, "abcd1234", (), "")
    return evaluate.contest(empty, [_standing(*pair) for pair in scores.items()], compare)


def test_the_best_wins_where_the_runner_up_is_measurably_worse():
    found = _contest("f1", {"a/1": 0.5, "b/1": 0.8, "c/1": 0.6}, {("c/1", "b/1"), ("a/1", "b/1")})
    assert [s.run for s in found.standings] == ["b/1", "c/1", "a/1"]
    assert (found.winner, found.verdict) == ("b/1", "b/1 wins")
    assert [s.level for s in found.standings] == [False, False, False]


def test_nobody_wins_where_the_runner_up_is_level():
    found = _contest("f1", {"a/1": 0.79, "b/1": 0.8, "c/1": 0.2}, {("c/1", "b/1")})
    assert found.winner == ""
    assert found.verdict == "no measurable difference between b/1 and a/1"
    assert [s.level for s in found.standings] == [False, True, False]


def test_of_losses_the_lowest_is_best():
    found = _contest("perplexity", {"a/1": 9.0, "b/1": 4.0}, {("a/1", "b/1")})
    assert found.winner == "b/1"


def test_a_run_that_is_alone_has_nobody_to_win_against():
    found = _contest("f1", {"a/1": 0.9}, set())
    assert (found.winner, found.verdict) == ("", "a/1 is alone")
    board = Leaderboard((found, _contest("f1", {"a/1": 0.9, "b/1": 0.9}, set())))
    for shown in (evaluate.as_markdown(board), evaluate.as_html(board)):
        assert " *" not in shown
    rows = csv.DictReader(io.StringIO(evaluate.as_table(board)))
    assert [row["winner"] for row in rows] == ["0", "0", "0"]


def test_runs_whose_tokens_differ_are_ranked_but_not_judged():
    def compare(*_):
        raise RunError("tokens differ.", fix="Compare others.")

    empty = Contest("chat", "perplexity", 5, "abcd1234", (), "")
    found = evaluate.contest(empty, [_standing("a/1", 2.0), _standing("b/1", 3.0)], compare)
    assert found.winner == ""
    assert found.standings[1].p_value is None
    assert "cannot be compared" in found.verdict


def test_every_format_holds_every_run_and_the_page_loads_nothing():
    one = _contest("f1", {"a/1": 0.5, "b/1": 0.8}, {("a/1", "b/1")})
    two = Contest(
        "sql | odd", "accuracy", 9, "ffff0000", (_standing("b/2", 0.3),), "b/2 wins", "b/2"
    )
    board = Leaderboard((one, two))
    markdown = evaluate.as_markdown(board)
    assert markdown.startswith("## Model by task")
    assert "| b | 0.800 [0.700, 0.900] * | 0.300 [0.200, 0.400] * |" in markdown
    rows = list(csv.DictReader(io.StringIO(evaluate.as_table(board))))
    assert [(row["run"], row["winner"], row["training_s"]) for row in rows] == [
        ("b/1", "1", "3.0"), ("a/1", "0", "3.0"), ("b/2", "1", "3.0"),
    ]  # fmt: skip
    page = evaluate.as_html(board)
    for word in ("a/1", "b/1", "b/2", "sql | odd"):
        assert word in page
        assert word in markdown.replace("\\|", "|")
    assert "src=" not in page
    assert "<link" not in page
