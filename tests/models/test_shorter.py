"""A conversation that is too long loses its oldest exchanges, and no more than must go."""

import pytest

from fucina.models.pairing import Pairing
from fucina.models.shorter import fitting
from fucina.records import Example, Message

PAIRING = Pairing(None)


def _conversation(exchanges, *first):
    turns = list(first)
    for number in range(exchanges):
        turns += [Message("user", f"domanda {number}"), Message("assistant", "sì " * (number % 3))]
    return Example.of_conversation(turns)


def _size(row):
    return sum(len(turn.content) for turn in row.messages)


@pytest.mark.parametrize("first", [(), (Message("system", "sei breve"),)])
def test_no_more_goes_than_must(first):
    row = _conversation(9, *first)
    shorter = [(*first, *row.messages[len(first) + 2 * gone :]) for gone in range(1, 9)]
    for most in range(_size(row) + 1):
        fits = [one for one in shorter if sum(len(turn.content) for turn in one) <= most]
        assert fitting(row, PAIRING, _size, most).messages == (fits or shorter[-1:])[0]


def test_a_conversation_of_thousands_is_measured_a_dozen_times():
    row, measured = _conversation(4000), []

    def size(one):
        measured.append(one)
        return len(one.messages)

    assert len(fitting(row, PAIRING, size, 40).messages) == 40
    assert len(measured) < 16


def test_a_single_exchange_stays():
    row = _conversation(1)
    assert fitting(row, PAIRING, _size, 0) == row
