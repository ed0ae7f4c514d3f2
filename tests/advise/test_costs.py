import pytest

from fucina.advise import Machine, break_even, cost_behind_endpoint, cost_here, machine_of
from fucina.config import ContenderConfig, CostConfig
from fucina.errors import RecipeError
from fucina.recipe import parse

STRONG = ContenderConfig(
    name="strong", by="m", url="http://localhost/v1", price_read=2, price_written=8
)


def paid(read=1000, written=100, volume=1000):
    return cost_behind_endpoint(
        STRONG, CostConfig(queries_per_month=volume), read=read, written=written
    )


def hosted(price=0.1, seconds=1.0, training_s=0.0, volume=1000):
    config = CostConfig(queries_per_month=volume)
    return cost_here(Machine(price, ""), config, seconds=seconds, training_s=training_s)


def test_an_endpoint_is_paid_by_the_token():
    found = paid()
    assert found.each == pytest.approx(0.0028)
    assert found.month == pytest.approx(2.8)
    assert (found.training, found.hosting, found.capacity) == (0, 0, None)


def test_a_machine_is_paid_by_the_month_and_a_volume_may_need_several():
    one, many = hosted(), hosted(volume=3_000_000)
    assert one.month == pytest.approx(73)
    assert one.capacity == pytest.approx(730 * 3600 * 0.5)
    assert many.hosting == pytest.approx(3 * 73)
    trained = hosted(training_s=36_000)
    assert trained.training == pytest.approx(1.0)
    assert trained.month == pytest.approx(73 + 1 / 12)


def test_the_break_even_is_where_both_cost_the_same():
    first, second = paid(), hosted(training_s=36_000)
    volume = break_even(first, second, 12)
    assert volume == pytest.approx((73 + 1 / 12) / 0.0028)
    at = round(volume)
    assert paid(volume=at).month == pytest.approx(
        hosted(training_s=36_000, volume=at).month, rel=1e-3
    )


def test_a_machine_too_slow_to_pay_for_itself_is_never_cheaper():
    # It answers 26,280 queries a month, which cost 73.6 USD behind the endpoint and 730 on it.
    assert break_even(paid(), hosted(price=1.0, seconds=50.0), 12) is None
    assert break_even(hosted(), paid(), 12) is None
    assert break_even(paid(), hosted(price=0.0), 12) == 0
    unpriced = cost_behind_endpoint(
        STRONG.model_copy(update={"price_read": None}), CostConfig(), read=1, written=1
    )
    assert unpriced.per_query is None
    assert break_even(unpriced, hosted(), 12) is None


def test_a_machine_nobody_priced_is_one_of_the_table():
    laptop, card = machine_of(CostConfig(), gpu=False), machine_of(CostConfig(), gpu=True)
    assert 0 < laptop.price_per_hour < card.price_per_hour
    assert "laptop" in laptop.said
    assert "T4" in card.said


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("{name: a, by: favilla, price_read: 1}", "give both price_read and price_written"),
        ("{name: a, by: favilla, price_read: 1, price_written: 2}", "behind a url"),
        ("{name: base, by: favilla}", "the recipe's own base"),
        ("{name: 'a b', by: favilla}", "string should match pattern"),
        ("{name: a, by: x}, {name: a, by: y}", "two models are called 'a'"),
    ],
)
def test_models_that_cannot_be_weighed_are_refused(model, problem):
    with pytest.raises(RecipeError, match=problem):
        parse(f"{{task: chat, name: a, data: {{train: a}}, advise: {{models: [{model}]}}}}")
