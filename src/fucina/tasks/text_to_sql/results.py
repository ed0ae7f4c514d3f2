"""Are two results the same answer? The rule of execution accuracy, as the public scorer has it."""

from collections import Counter
from collections.abc import Iterator, Sequence

__all__ = ["equal_results"]

DIGITS = 9  # significant ones that must agree: sums in another order differ in the sixteenth
MOST_ORDERS = 5040  # of the columns that are tried

Rows = Sequence[tuple]


def equal_results(gold: Rows, answered: Rows, *, ordered: bool) -> bool:
    """Whether two results hold the same rows as often, whatever the order of the columns.

    Columns have no names here. NULL equals NULL alone; a number equals a number that agrees in
    nine digits, whether whole or not; a number never equals a text. Two empty results are equal.
    Source: Zhong et al., 2020, https://arxiv.org/abs/2010.02840, section 3 (bag semantics), but
    that is exact in numbers.

    Args:
        gold: The true rows.
        answered: The rows to judge.
        ordered: The order of the rows counts.

    Example:
        >>> equal_results([("Ada", 3), ("Ivo", 1)], [(1.0, "Ivo"), (3.0, "Ada")], ordered=False)
        True
        >>> equal_results([(1,), (2,)], [(2,), (1,)], ordered=True)
        False
        >>> equal_results([(1,), (1,)], [(1,)], ordered=False)
        False
    """
    if len(gold) != len(answered):
        return False
    if not gold:
        return True
    if len(gold[0]) != len(answered[0]):
        return False
    true = [tuple(map(_plain, row)) for row in gold]
    said = [tuple(map(_plain, row)) for row in answered]
    wanted = Counter(true)
    for count, order in enumerate(_orders(true, said)):
        if count == MOST_ORDERS:
            break
        moved = [tuple(row[column] for column in order) for row in said]
        if moved == true if ordered else Counter(moved) == wanted:
            return True
    return False


def _plain(cell: object) -> object:
    if not isinstance(cell, float):
        # A blob is no text, even of the same letters.
        return ("blob", cell) if isinstance(cell, bytes) else cell
    return int(cell) if cell.is_integer() else float(f"{cell:.{DIGITS}g}")


def _orders(true: Rows, said: Rows) -> Iterator[tuple[int, ...]]:
    """The orders of the answered columns in which each holds the values of a true one."""
    wanted = [Counter(row[column] for row in true) for column in range(len(true[0]))]
    given = [Counter(row[column] for row in said) for column in range(len(said[0]))]
    fits = [[place for place, held in enumerate(given) if held == own] for own in wanted]

    def extended(order: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(order) == len(fits):
            yield order
            return
        for place in fits[len(order)]:
            if place not in order:
                yield from extended((*order, place))

    return extended(())
