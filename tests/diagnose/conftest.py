"""Fixtures: is a recipe still one when it is changed as a cause proposes."""

import json
import re

import pytest

from fucina.diagnose import fresh
from fucina.errors import RecipeError
from fucina.recipe import dump, parse
from fucina.tasks.settings import refuse_idle

SET = re.compile(r"\b([a-z_]+\.[a-z_]+)=([^\s,;:)]+)")


@pytest.fixture
def usable():
    """Give a function: recipe → whether its task can hear all of it."""

    def check(recipe):
        try:
            refuse_idle(recipe)
        except RecipeError:
            return False
        return True

    return check


@pytest.fixture
def accepted():
    """Give a function: cause and recipe → the changed recipe, which its task can hear."""

    texts, known = {}, set()  # reading a recipe is most of the time, and causes repeat themselves

    def check(cause, recipe):
        cause = fresh(cause, recipe)
        written = [f"{key}={json.dumps(value)}" for key, value in cause.changes.items()]
        # What is only said must not be refused either; rows_per_label is of a section of its own.
        said = [f"{key}={value.rstrip('.')}" for key, value in SET.findall(cause.fix)]
        said = [one for one in said if not one.startswith("augment.")]
        if id(recipe) not in texts:
            texts[id(recipe)] = recipe, dump(recipe)
        text = texts[id(recipe)][1]
        key = (text, *written, "", *said, cause.fix.startswith("Set "))
        if key in known:
            return cause
        changed = [parse(text, overrides)[0] for overrides in (written, said)]
        for one in changed:
            refuse_idle(one)
        if cause.changes:
            assert changed[0] != recipe
            assert changed[1] != recipe or not cause.fix.startswith("Set ")
        known.add(key)
        return cause

    return check
