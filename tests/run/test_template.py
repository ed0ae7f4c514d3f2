"""A run keeps the chat template it was made with, and is never gone on with under another."""

import pytest

from fucina import run
from fucina.errors import RunError


def test_a_run_keeps_its_template_and_finds_it_again(tmp_path):
    run.keep_template(tmp_path, "{{ perché }}")
    run.keep_template(tmp_path, "{{ perché }}")
    assert run.template_of(tmp_path).read_text(encoding="utf-8") == "{{ perché }}"


def test_a_changed_template_is_refused_and_the_kept_one_stays(tmp_path):
    run.keep_template(tmp_path, "{{ prima }}")
    with pytest.raises(RunError, match="template changed") as caught:
        run.keep_template(tmp_path, "{{ dopo }}")
    assert "--resume" in caught.value.fix
    assert run.template_of(tmp_path).read_text(encoding="utf-8") == "{{ prima }}"


def test_a_missing_template_is_named(tmp_path):
    with pytest.raises(RunError, match="is missing") as caught:
        run.template_of(tmp_path)
    assert "train again" in caught.value.fix
