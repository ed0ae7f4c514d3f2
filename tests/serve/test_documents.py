"""Documents behind /ask say what `fucina ask` says."""

import pytest

from fucina.answering import Told, ask
from fucina.config import AnswerConfig, RouteConfig, SearchConfig, ServeConfig
from fucina.documents import answer_facts
from fucina.errors import DataError, RunError
from fucina.library import index_documents, open_library
from fucina.serving import Places, open_service

from .conftest import listening


@pytest.fixture(scope="module")
def index(make_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("carte")
    (folder / "a.md").write_text("# Città\n\nPerché l'ordine arriva? Il pacco è nero.\n", "utf-8")
    (folder / "b.txt").write_text("il rimborso costa quanto voglio", "utf-8")
    made = folder.parent / "index"
    index_documents(made, [folder], [f"embedder={make_base('bert')}"])
    return made


def _served(index, **more):
    return open_service(
        Places((), index, **more), ServeConfig(reload_s=0), RouteConfig(), keys={}, say=print
    )


def test_a_question_is_answered_as_without_a_server(index, web):
    with open_library(index) as library:
        found = ask(library, "il pacco è nero?", SearchConfig(), least=0)
        alone = answer_facts(Told(found))
    with _served(index, answer=AnswerConfig(sure=0)) as app, listening(app) as url:
        told = web(f"{url}/ask", {"question": "il pacco è nero?"}).json()
        again = web(f"{url}/ask", {"question": "è?", "history": [
            {"role": "user", "content": "il pacco è nero?"}, {"role": "assistant", "content": "Sì."}]}).json()  # fmt: skip
        assert web(f"{url}/v1/models").json()["data"] == []
        assert web(f"{url}/predict", {"text": "a"}).status_code == 404
        assert web(f"{url}/ask", {"question": " "}).status_code == 400
        assert (
            web(
                f"{url}/ask", {"question": "a", "history": [{"role": "x", "content": ""}]}
            ).status_code
            == 400
        )
    assert told == alone
    assert "Il pacco è nero." in told["answer"]
    assert told["sources"][0]["file"].endswith("a.md")
    assert "pacco" in again["searched"]


def test_what_cannot_be_opened_is_told_before_it_listens(index, tmp_path):
    with pytest.raises(RunError), _served(tmp_path / "nessuno"):
        pass
    with (
        pytest.raises(DataError, match="none answers"),
        _served(index, answer=AnswerConfig(max_new_tokens=3)),
    ):
        pass
