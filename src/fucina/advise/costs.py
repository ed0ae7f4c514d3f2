"""What a way of answering costs: training once, hosting by the month, and each query."""

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from fucina import plan
from fucina.records import Cost

if TYPE_CHECKING:
    from fucina.config import ContenderConfig, CostConfig

__all__ = ["Machine", "break_even", "cost_behind_endpoint", "cost_here", "machine_of"]

HOURS = 730.0  # of a month, 365 x 24 / 12
LAPTOP, CARD = "laptop, 8 cores", "T4"  # of the hardware table


@dataclass(frozen=True)
class Machine:
    """What hosts and trains.

    Attributes:
        price_per_hour: USD.
        said: Where the price comes from, in a sentence.
    """

    price_per_hour: float
    said: str


def machine_of(config: "CostConfig", *, gpu: bool) -> Machine:
    """The machine that a recipe pays for, or one of the hardware table.

    Args:
        config: May say what it costs.
        gpu: Whether there is one here.

    Example:
        >>> from fucina.config import CostConfig
        >>> machine_of(CostConfig(price_per_hour=0.5), gpu=False).price_per_hour
        0.5
    """
    if config.price_per_hour is not None:
        price = config.price_per_hour
        return Machine(price, f"A machine costs USD {price:g} an hour, as the recipe says.")
    name = CARD if gpu else LAPTOP
    price = next(one.price for one in plan.catalog(full=False) if one.name == name)
    return Machine(
        price,
        f"A machine costs USD {price:g} an hour, the example of the hardware table for {name}; "
        "give your own: advise.cost.price_per_hour=…",
    )


def cost_here(
    machine: Machine, config: "CostConfig", *, seconds: float, training_s: float = 0.0
) -> Cost:
    """What answers cost on a machine that is always on.

    Args:
        machine: What it costs.
        config: Volume, and how busy a machine may be.
        seconds: For one answer.
        training_s: Once.

    Example:
        >>> from fucina.config import CostConfig
        >>> found = cost_here(Machine(1.0, ""), CostConfig(queries_per_month=1000), seconds=1.0)
        >>> found.hosting, round(found.per_query, 3), round(found.capacity)
        (730.0, 0.73, 1314000)
    """
    capacity = HOURS * 3600 * config.busy_share / max(seconds, 1e-6)
    machines = ceil(config.queries_per_month / capacity)
    training = training_s / 3600 * machine.price_per_hour
    hosting = machines * HOURS * machine.price_per_hour
    month = hosting + training / config.months
    each = month / config.queries_per_month
    own = HOURS * machine.price_per_hour
    return Cost(training, hosting, 0.0, month, each, capacity, own)


def cost_behind_endpoint(
    model: "ContenderConfig", config: "CostConfig", *, read: float, written: float
) -> Cost:
    """What answers of a model behind an endpoint cost; None where the recipe knows no prices.

    Args:
        model: May say what tokens cost.
        config: Volume.
        read: Tokens that one answer reads.
        written: Tokens that it writes.

    Example:
        >>> from fucina.config import ContenderConfig, CostConfig
        >>> strong = ContenderConfig(name="a", by="m", url="http://localhost/v1",
        ...                          price_read=3, price_written=15)
        >>> cost_behind_endpoint(strong, CostConfig(), read=1000, written=200).each
        0.006
    """
    if model.price_read is None or model.price_written is None:
        return Cost(0.0, 0.0, None, None, None)
    each = (read * model.price_read + written * model.price_written) / 1e6
    return Cost(0.0, 0.0, each, each * config.queries_per_month, each)


def break_even(first: Cost, second: Cost, months: int) -> float | None:
    """From how many queries a month on the second way is cheaper than the first.

    A machine answers so many queries a month; where it costs more than these behind the endpoint,
    a second machine does not help, and there is no such volume.

    Args:
        first: One way.
        second: The other.
        months: In which a training is paid back.

    Returns:
        0 where it is always cheaper, None where it never is, or where a price is not known.

    Example:
        >>> paid = Cost(0.0, 0.0, 0.01, 10.0, 0.01)
        >>> hosted = Cost(12.0, 99.0, 0.0, 100.0, 0.1, capacity=50_000, machine=99.0)
        >>> break_even(paid, hosted, months=12)
        10000.0
    """
    if first.each is None or second.each is None:
        return None
    # One machine: how many the volume of the recipe needs says nothing of another volume.
    fixed = [cost.machine + (cost.training or 0.0) / months for cost in (first, second)]
    saved = first.each - second.each
    if fixed[1] <= fixed[0] and saved >= 0:
        return 0.0 if (fixed[1] < fixed[0] or saved > 0) else None
    if saved <= 0:
        return None
    volume = (fixed[1] - fixed[0]) / saved
    return volume if second.capacity is None or volume <= second.capacity else None
