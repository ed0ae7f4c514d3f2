import pytest

from fucina.advise import decide, judge_goals, recommend, steady, triggers
from fucina.config import ComponentConfig
from fucina.records import Arm, Comparison, Cost, Interval


def arm(way, value, *, month=10.0, p95=100.0, model="m", memory=100.0):
    cost = Cost(0.0, month, 0.0, month, None if month is None else month / 1000)
    score = {"f1": Interval(value, value - 0.1, value + 0.1)}
    return Arm(way, model, score, (p95 / 2, p95), 20, 100, 10, memory, 0.0, cost)


def compared(sure):
    """A comparison whose second is better where the difference is larger than `sure`."""

    def compare(first, second):
        gain = second.scores["f1"].value - first.scores["f1"].value
        better = "is better than" if gain > sure else "no measurable difference"
        return Comparison(first.name, second.name, {}, 0.5, f"{second.name} {better} {first.name}")

    return compare


def chosen(arms, *, sure=0.2, goals=None, tolerance=0.02):
    return recommend(arms, "f1", compared(sure), goals or {}, tolerance)


def test_of_ways_about_as_good_the_cheapest_is_chosen():
    arms = [arm("fine_tune", 0.80, month=50), arm("retrieval", 0.79, month=5), arm("prompt", 0.3)]
    found, said = chosen(arms)
    assert found.way == "retrieval"
    assert "fine_tune m is measurably better than prompt m." in said
    assert "About as good and dearer: fine_tune m." in said


def test_of_equal_costs_the_simplest_is_chosen():
    arms = [arm("fine_tune", 0.80), arm("few_shot", 0.79), arm("retrieval", 0.79)]
    assert chosen(arms)[0].way == "few_shot"
    assert chosen([arm("prompt", 0.8, month=None), arm("fine_tune", 0.8)])[0].way == "fine_tune"


def test_no_measurable_difference_is_not_as_good():
    """Few rows measure nothing; the better one is still the better bet."""
    found, said = chosen([arm("fine_tune", 0.625), arm("prompt", 0.0)], sure=0.9)
    assert found.way == "fine_tune"
    assert "more test rows may tell them apart" in said[-1]
    assert chosen([arm("fine_tune", 0.7), arm("prompt", 0.4)], sure=0.9, tolerance=0.5)[0].way == (
        "prompt"
    )


def test_goals_come_before_cost_and_never_before_quality():
    slow = arm("fine_tune_retrieval", 0.8, p95=5000, month=1)
    quick, poor = arm("fine_tune", 0.7, month=90), arm("prompt", 0.1, p95=10)
    found, said = chosen([slow, quick, poor], goals={"latency_p95_ms": 3000})
    assert found is quick
    assert "More goals are missed by fine_tune_retrieval m." in said
    assert chosen([slow, poor], goals={"latency_p95_ms": 3000})[0] is slow


def test_goals_are_missed_reached_or_not_known():
    goals = {"f1": 0.9, "latency_p95_ms": 200, "cost_per_query_usd": 0.001, "perplexity": 10}
    missed, met, unknown = judge_goals(arm("prompt", 0.8), goals)
    assert missed == (
        "f1 is 0.8, at least 0.9 was asked.",
        "cost_per_query_usd is 0.01, at most 0.001 was asked.",
    )
    assert met == ("latency_p95_ms is 100, at most 200 was asked.",)
    assert unknown == ("perplexity is not known, 10 was asked.",)
    elsewhere = arm("prompt", 0.8, memory=None)
    assert judge_goals(elsewhere, {"peak_memory_mib": 5})[2]


def line(name, **more):
    return ComponentConfig(name=name, files=("a",), **more)


def test_the_matrix_of_the_second_document():
    lines = [
        line("constitution"), line("family", approach="prompt"), line("memory", changes="often"),
        line("decisions", traced=True), line("resume", changes="each_session"),
    ]  # fmt: skip
    short = decide(lines, [900, 5000, 9000, 9000, 300], stable=True)
    assert [part.approach for part in short] == [
        "prompt", "prompt", "retrieval", "retrieval", "session",
    ]  # fmt: skip
    assert [part.chosen for part in short] == [False, True, False, False, False]
    assert "traced" not in short[0].why
    assert short[1].why == "as the recipe says"


@pytest.mark.parametrize(
    ("tokens", "stable", "approach"),
    [(2000, True, "prompt"), (2001, True, "fine_tune"), (2001, False, "prompt"),
     (2001, None, "prompt")],
)  # fmt: skip
def test_what_is_long_is_learnt_only_when_it_is_stable(tokens, stable, approach):
    (found,) = decide([line("constitution")], [tokens], stable=stable)
    assert found.approach == approach


def test_versions_are_the_same_when_nearly_all_words_are():
    words = [f"parola{n}" for n in range(100)]
    changed = [*words[:90], *(f"altra{n}" for n in range(10))]
    assert steady([" ".join(words), " ".join(words[:98])])[0]
    assert steady([" ".join(words), " ".join(changed)])[0] is False
    assert steady(["only one"])[0] is None


def test_triggers_say_their_numbers():
    gain = Comparison("prompt a", "fine_tune b", {"f1": Interval(0.2, 0.1, 0.3)}, 0.001,
                      "fine_tune b is better than prompt a")  # fmt: skip
    even = ("prompt a", "fine_tune b", 5000.0)
    found = triggers(2001, (True, "same"), volume=5001, break_even=even, gain=gain)
    assert [one.holds for one in found] == [True, True, True, True]
    assert "from 5,000 queries a month on; it is 5,001" in found[2].said
    never = triggers(2000, (None, "?"), volume=1, break_even=("a", "b", None), gain=None)
    assert [one.holds for one in never] == [False, None, False, None]
