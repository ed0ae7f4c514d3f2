"""Exported classifiers and taggers, answered by ONNX Runtime; PyTorch is not needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fucina.engines.onnx_folder import Exported, Precision, open_folder
from fucina.engines.onnx_graph import AGAIN
from fucina.errors import ModelError
from fucina.models.ensemble import settle, softmax
from fucina.models.lexical import counts, each_table
from fucina.models.tags import cooled, marks, tag_names
from fucina.models.tokenize import encode
from fucina.models.word_forms import form_rows
from fucina.models.words import read_words, token_numbers
from fucina.records import Predictions, Spans

__all__ = ["OnnxLabeller", "OnnxMarks", "open_engine", "open_labeller", "open_marker"]

WARM = "a b"  # a first answer reads in libraries and n-grams, which takes a second


@dataclass(frozen=True)
class OnnxLabeller:
    """Labels with an export; several threads may ask it at once.

    Attributes:
        export: The opened folder.
    """

    export: Exported

    @property
    def name(self) -> str:
        """What computes, for people."""
        return self.export.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The c labels."""
        return self.export.facts.names

    def label(self, prompts: Sequence[str]) -> Predictions:
        """Probabilities of n texts, n x c, with the temperature and the threshold of the run.

        Raises:
            FloatingPointError: The graph gave what is no number.
        """
        facts = self.export.facts
        each = softmax(self.scores(prompts))
        odds = settle(each, facts.how, facts.temperature)
        return Predictions(self.labels, odds, (), tuple(prompts), facts.threshold)

    def scores(self, prompts: Sequence[str]) -> np.ndarray:
        """What every member makes of n prompts, k x n x c.

        Raises:
            FloatingPointError: It is no number.
        """
        export, facts = self.export, self.export.facts
        found = np.zeros((facts.members, len(prompts), len(facts.names)))
        if not prompts:
            return found
        encoded = encode(prompts, export.words, max_length_tokens=facts.max_length_tokens)
        for part, scores in export.each_chunk(encoded):
            found[:, part] = scores
        if export.lexicon is not None:
            found += each_table(export.tables, counts(prompts, export.lexicon), found.shape[2])
        return _sound(found)


@dataclass(frozen=True)
class OnnxMarks:
    """Marks with an export; several threads may ask it at once.

    Attributes:
        export: The opened folder.
    """

    export: Exported

    @property
    def name(self) -> str:
        """What computes, for people."""
        return self.export.name

    @property
    def types(self) -> tuple[str, ...]:
        """What a stretch can be."""
        return self.export.facts.names

    def mark(self, prompts: Sequence[str]) -> Spans:
        """What it marks in n texts.

        Raises:
            FloatingPointError: The graph gave what is no number.
        """
        bounds, odds, read = self.odds(prompts)
        answers, sure = marks(odds, bounds, self.types)
        temperature = self.export.facts.temperature
        calm = tuple(cooled(own, temperature) for own in sure)
        return Spans(tuple(prompts), ((),) * len(prompts), tuple(answers), calm, read, self.types)

    def odds(
        self, prompts: Sequence[str]
    ) -> tuple[tuple[np.ndarray, ...], list[np.ndarray], tuple[int, ...]]:
        """Probabilities of the tags of each word.

        Returns:
            Where words begin and end (w x 2), their probabilities (w x t), and how many characters
            were read, of each of n texts.

        Raises:
            FloatingPointError: They are no numbers.
        """
        export, facts = self.export, self.export.facts
        found: list[np.ndarray] = [np.zeros((0, len(tag_names(self.types))))] * len(prompts)
        if not prompts:
            return (), found, ()
        words = read_words(
            prompts, export.words, max_length_tokens=facts.max_length_tokens, last=facts.last
        )
        for part, scores in export.each_chunk(words.encoded):
            members, rows, length, tags = scores.shape
            numbers = token_numbers(words, part, length)
            own = scores.reshape(members, rows * length, tags)[:, numbers]
            if export.lexicon is not None:
                told = [words.bounds[row] for row in part]
                forms = form_rows([prompts[row] for row in part], told, export.lexicon)
                own = own + each_table(export.tables, forms, tags)
            odds = softmax(_sound(own)).mean(axis=0)
            ends = np.cumsum(words.counts[part]).astype(int)[:-1]
            for row, one in zip(part, np.split(odds, ends), strict=True):
                found[row] = one
        return words.bounds, found, tuple(words.read.tolist())


def _sound(scores: np.ndarray) -> np.ndarray:
    """The same, unless there is no answer in them."""
    if not np.isfinite(scores).all():
        raise FloatingPointError("scores that are no numbers")
    return scores


def open_labeller(
    folder: Path, *, precision: Precision | None = None, threads: int = 0
) -> OnnxLabeller:
    """Open an exported classifier.

    Args:
        folder: As `fucina export RUN --to onnx` wrote it.
        precision: Which graph; None for that in eight bits where there is one.
        threads: That compute at once; 0 for one a core.

    Raises:
        ModelError: It is no export of a classifier, or a file is missing, cut or changed.
        MissingExtraError: onnxruntime is not installed.
    """
    made = OnnxLabeller(open_folder(folder, "labels", precision, threads))
    _try(folder, lambda: made.label([WARM]))
    return made


def open_engine(
    folder: Path, *, precision: Precision | None = None, threads: int = 0
) -> OnnxLabeller | OnnxMarks:
    """Open an export, whichever it is; arguments and errors as above."""
    export = open_folder(folder, None, precision, threads)
    if export.facts.kind == "labels":
        labeller = OnnxLabeller(export)
        _try(folder, lambda: labeller.label([WARM]))
        return labeller
    marker = OnnxMarks(export)
    _try(folder, lambda: marker.mark([WARM]))
    return marker


def open_marker(folder: Path, *, precision: Precision | None = None, threads: int = 0) -> OnnxMarks:
    """Open an exported tagger; arguments and errors as above."""
    made = OnnxMarks(open_folder(folder, "spans", precision, threads))
    _try(folder, lambda: made.mark([WARM]))
    return made


def _try(folder: Path, answer: Callable[[], object]) -> None:
    """Let a model answer once, so that one that cannot is not kept."""
    try:
        answer()
    # A graph of others may ask for anything; ONNX Runtime has a class for each kind of failure.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise ModelError(f"the model in {folder} gives no answer ({first}).", fix=AGAIN) from error
