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
from fucina.retrieval.following import by_own_words, leans, topic_of
from fucina.retrieval.prompting import (
    NOT_THERE,
    TURN_TAKES,
    Cited,
    Prompt,
    cited,
    plain,
    prompt_of,
)
from fucina.speaking import Speaker, open_speaker

__all__ = ["Answered", "Told", "ask", "find", "open_answerer", "tell", "tell_found"]


@dataclass(frozen=True)
class Answered:
    """A question and what the documents say.

    Attributes:
        question: In words.
        hits: What was found, best first.
        quotes: The sentences that answer; none where it is weak.
        sure: Probability that one of the hits has the answer, 0 to 1.
        weak: The documents are not likely to have it.
        searched: What was searched: the question, or that with an earlier one in front.
    """

    question: str
    hits: Sequence[Hit]
    quotes: Sequence[Quote]
    sure: float
    weak: bool
    searched: str


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
        return self.text != "" and not self.told_so

    @property
    def turns(self) -> tuple[Message, Message]:
        """What it leaves in a conversation."""
        return (
            Message("user", self.asked.question),
            Message("assistant", self.text or NOT_THERE),
        )

    @property
    def text(self) -> str:
        """What is said, without citations; empty where nothing is."""
        if self.cited is not None:
            return plain(self.cited.text)
        return " ".join(quote.text for quote in self.asked.quotes)

    @property
    def told_so(self) -> bool:
        """Whether it says that the documents do not have it."""
        return self.asked.weak or (self.cited is not None and self.cited.not_there)

    @property
    def sources(self) -> list[Hit]:
        """The chunks that it cites, else what a model was given."""
        if self.cited is None or self.prompt is None:
            return [self.asked.hits[hit] for hit in {quote.hit: 0 for quote in self.asked.quotes}]
        return [self.prompt.hits[n - 1] for n in self.cited.numbers] or [*self.prompt.hits]


def ask(
    library: Library,
    question: str,
    config: SearchConfig,
    *,
    least: float = 0.5,
    hits: Sequence[Hit] | None = None,
    history: Sequence[Message] = (),
) -> Answered:
    """Answer a question with sentences of the documents.

    Args:
        library: Where to look.
        question: In words.
        config: How to look.
        least: Below this probability that what was found has the answer, nothing is quoted.
        hits: What was found, where that is known.
        history: Earlier turns of user and assistant, oldest first.
    """
    found = find(library, question, config, least=least, hits=hits, history=history)
    if found.weak:
        return found
    return replace(
        found, quotes=quote(found.searched, found.hits, library.searcher, library.embedder)
    )


def find(
    library: Library,
    question: str,
    config: SearchConfig,
    *,
    least: float,
    hits: Sequence[Hit] | None = None,
    history: Sequence[Message] = (),
) -> Answered:
    """What is found for a question, and how sure that is; nothing is quoted yet.

    A follow-up ("and what does it cost?") is searched with an earlier question in front, the last
    that stood by itself, in two cases: it has little to say beside that one (its words are in any
    document, so that its own search looks surer than it is); or its own search is weak, and the
    longer one is surer, where only the words of the new question count as covered.

    Arguments are those of `ask`.
    """
    hits = library.searcher.search(question, config) if hits is None else hits
    sure = library.trust.sure(hits)
    found = Answered(question, hits, (), sure, not hits or sure < least, question)
    topic = topic_of([turn.content for turn in history if turn.role == "user"], library.searcher)
    leaning = topic != "" and leans(question, topic, library.searcher)
    if not topic or not (leaning or found.weak):
        return found
    longer = f"{topic} {question}"
    hits = library.searcher.search(longer, config)
    sure = library.trust.sure(hits if leaning else by_own_words(question, hits, library.searcher))
    if not leaning and sure <= found.sure:
        return found
    return Answered(question, hits, (), sure, not hits or sure < least, longer)


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
    found = find(library, question, config, least=answer.sure, history=history)
    (told,) = tell_found([found], speaker, answer, history=history)
    return told


def tell_found(
    found: Sequence[Answered],
    speaker: Speaker,
    answer: AnswerConfig,
    *,
    history: Sequence[Message] = (),
) -> list[Told]:
    """Let a model answer questions at once out of what was found for each.

    Nobody is asked where that is weak. Arguments and errors are those of `tell`.
    """
    room = speaker.reads - answer.max_new_tokens - 2 * TURN_TAKES
    system = _text_of("answer.system", answer.system)
    session = _text_of("answer.session", answer.session)
    prompts = [
        None
        if asked.weak
        else prompt_of(
            asked.question, asked.hits, speaker.count, room=room, system=system, session=session,
            history=history,
        )
        for asked in found
    ]  # fmt: skip
    told = [prompt for prompt in prompts if prompt is not None]
    replies = iter(speaker.answer([prompt.messages for prompt in told]) if told else ())
    return [
        Told(asked) if prompt is None else _told(asked, prompt, next(replies))
        for asked, prompt in zip(found, prompts, strict=True)
    ]


def _told(asked: Answered, prompt: Prompt, reply: Reply) -> Told:
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
