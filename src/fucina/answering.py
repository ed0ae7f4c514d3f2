"""Answer questions out of documents: with their own sentences, or by a model that cites them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fucina.config import AnswerConfig, SearchConfig
from fucina.endpoint import Reply, Server
from fucina.errors import DataError
from fucina.library import Library
from fucina.records import Hit, Message, Progress, silent
from fucina.retrieval import Quote, quote
from fucina.retrieval.prompting import TURN_TAKES, Cited, Prompt, cited, prompt_of
from fucina.speaking import Speaker, open_speaker

__all__ = ["Answered", "Told", "ask", "open_answerer", "tell"]


@dataclass(frozen=True)
class Answered:
    """A question and what the documents say.

    Attributes:
        question: In words.
        hits: What was found, best first.
        quotes: The sentences that answer; none where it is weak.
        sure: Probability that one of the hits has the answer, 0 to 1.
        weak: The documents are not likely to have it.
    """

    question: str
    hits: Sequence[Hit]
    quotes: Sequence[Quote]
    sure: float
    weak: bool


@dataclass(frozen=True)
class Told:
    """What a model said out of documents.

    Attributes:
        asked: What was found, and how sure it is that this answers.
        prompt: What the model was given; None where nothing was worth asking.
        reply: What it said; None likewise.
        cited: The same with its citations read; None likewise.
    """

    asked: Answered
    prompt: Prompt | None = None
    reply: Reply | None = None
    cited: Cited | None = None

    @property
    def answered(self) -> bool:
        """Whether there is an answer out of the documents."""
        return self.cited is not None and not self.cited.not_there


def ask(
    library: Library,
    question: str,
    config: SearchConfig,
    *,
    least: float = 0.5,
    hits: Sequence[Hit] | None = None,
) -> Answered:
    """Answer a question with sentences of the documents.

    Args:
        library: Where to look.
        question: In words.
        config: How to look.
        least: Below this probability that what was found has the answer, nothing is quoted.
        hits: What was found, where that is known.
    """
    found = _find(library, question, config, least, hits)
    if found.weak:
        return found
    quotes = quote(question, found.hits, library.searcher, library.embedder)
    return replace(found, quotes=quotes)


def _find(
    library: Library,
    question: str,
    config: SearchConfig,
    least: float,
    hits: Sequence[Hit] | None = None,
) -> Answered:
    """What is found for a question, and how sure that is; nothing is quoted yet."""
    hits = library.searcher.search(question, config) if hits is None else hits
    sure = library.trust.sure(hits)
    return Answered(question, hits, (), sure, weak=not hits or sure < least)


def tell(
    library: Library,
    question: str,
    config: SearchConfig,
    speaker: Speaker,
    answer: AnswerConfig,
    *,
    history: Sequence[Message] = (),
) -> Told:
    """Let a model answer a question out of documents.

    Args:
        library: Where to look.
        question: In words.
        config: How to look.
        speaker: Who answers.
        answer: How sure it must be, and what the model always reads.
        history: Earlier turns of user and assistant, oldest first.

    Raises:
        DataError: There is no room for one document, or a file of `answer` cannot be read.
    """
    asked = _find(library, question, config, answer.sure)
    if asked.weak:
        return Told(asked)
    room = speaker.reads - answer.max_new_tokens - 2 * TURN_TAKES
    prompt = prompt_of(
        question, asked.hits, speaker.count, room=room,
        system=_text_of("answer.system", answer.system),
        session=_text_of("answer.session", answer.session), history=history,
    )  # fmt: skip
    (reply,) = speaker.answer([prompt.messages])
    return Told(asked, prompt, reply, cited(reply.text, len(prompt.hits)))


@contextmanager
def open_answerer(
    config: AnswerConfig, keys: Mapping[str, str], *, progress: Progress = silent
) -> Iterator[Speaker]:
    """Open who answers.

    Raises:
        FucinaError: It cannot be had.
    """
    name = config.by or ""
    what: str | Server = name
    if config.url is not None:
        what = Server(
            config.url, name, config.key_variable, config.timeout_s, config.retries,
            config.protocol, ("answer.url", "answer.by"),
        )  # fmt: skip
    key = keys.get(config.key_variable, "")
    with open_speaker(
        what, max_new_tokens=config.max_new_tokens, key=key, progress=progress
    ) as speaker:
        yield speaker


def _text_of(setting: str, path: str | None) -> str:
    """A text file, where one is named."""
    if path is None:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{setting}: {path} cannot be read ({error}).", fix="Give a text file in UTF-8."
        ) from error
