"""A model of spaCy that is installed is one of the baselines; skipped where spaCy is not."""

import sys

import pytest

from fucina.records import Example, Span
from fucina.tasks.entities.baselines import by_spacy, spacy_models

spacy = pytest.importorskip("spacy")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Give a function: a name, names of places → a package of a model of spaCy that knows them."""

    def install(name, places):
        model = spacy.blank("it")
        ruler = model.add_pipe("entity_ruler")
        ruler.add_patterns([{"label": "LOC", "pattern": place} for place in places])
        (tmp_path / name).mkdir()
        model.to_disk(tmp_path / name / "model")
        code = (
            "from pathlib import Path\nfrom spacy.util import load_model_from_path\n\n"
            "def load(**more):\n    return load_model_from_path(Path(__file__).parent / 'model', **more)\n"
        )
        (tmp_path / name / "__init__.py").write_text(code, encoding="utf-8")
        facts = tmp_path / f"{name}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[spacy_models]\n{name} = {name}\n")
        sys.modules.pop(name, None)

    monkeypatch.syspath_prepend(str(tmp_path))
    return install


def test_the_model_that_agrees_best_with_train_is_asked(installed):
    installed("it_poco", ["Roma"])
    installed("it_prova", ["Forlì", "Roma"])
    train = [
        Example("Da Forlì a Roma", "", spans=(Span(3, 8, "LOCATION"), Span(11, 15, "LOCATION")))
    ]
    assert {"it_poco", "it_prova"} <= set(spacy_models())
    assert by_spacy(train, [Example("Sono di Forlì.", "")]) == [(Span(8, 13, "LOCATION"),)]
