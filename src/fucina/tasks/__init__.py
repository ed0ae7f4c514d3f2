"""The tasks: a folder each, found by looking, never listed.

A task says what is particular to it in one `Task` record. A recipe may ask for another form of the
same rows as `task.form`, such as `entities.json`. Other packages add tasks through the
entry-point group `fucina.tasks`, whose objects are `Task` records.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina.errors import RecipeError, nearest
from fucina.records import Answer, Dataset, Example, Finding, Grammar, Ratio

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = [
    "Baseline",
    "Check",
    "Choices",
    "Grammars",
    "Judging",
    "Part",
    "Paths",
    "Slices",
    "Task",
    "as_text",
    "folder",
    "get",
    "names",
    "of",
]


Baseline = Callable[[Sequence[Example], Sequence[Example]], Sequence[Any]]
Check = Callable[[Dataset], list[Finding]]
Slices = Callable[[Sequence[str], Sequence[Example]], Mapping[str, Sequence[str]]]
Grammars = Callable[[Sequence[Example], Sequence[Example]], Sequence[Grammar]]


@dataclass(frozen=True)
class Judging:
    """How rows and answers of a task are judged.

    Attributes:
        headline: The metric that decides which model is best; of labels also which epoch.
        scores: Answers and their rows to the scores of each row, by metric; for tasks that answer
            with text and have more to say than how likely an answer was.
        baselines: Name to a function of training rows and rows to answer, which answers them
            without a model; for tasks that answer with text or spans.
        slices: Answers and their rows to the ways in which rows are divided, such as by level; each
            gives every row the name of its part.
        evidence: An answer and its row to what a report shows beside them, by what it is called.
        checks: Looked at with every check of the rows of one file, before each training; an error
            stops it.
    """

    headline: str = "balanced_accuracy"
    scores: Callable[[Sequence[str], Sequence[Example]], Mapping[str, Ratio]] | None = None
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    slices: Slices | None = None
    evidence: Callable[[str, Example], Mapping[str, str]] | None = None
    checks: tuple[Check, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of its own scores."""
        return tuple(self.scores([], [])) if self.scores else ()

    @property
    def descriptive(self) -> tuple[str, ...]:
        """Those of them that say what answers are like, not how good they are."""
        marks = self.scores([], []) if self.scores else {}
        return tuple(name for name, mark in marks.items() if mark.descriptive)


@dataclass(frozen=True)
class Part:
    """One of the jobs of a task that has several.

    Attributes:
        name: What its rows say in `facts["part"]`, and what stands before its scores.
        task: Reads and judges its rows.
        files: What its rows are read with: settings of the section `data`.
    """

    name: str
    task: "Task"
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choices:
    """What a recipe may choose of a task.

    Attributes:
        configure: What its section of a recipe says to the task that does so; for tasks with
            settings of their own, see `fucina.config.tasks`.
        forms: Other ways to answer the same rows, by what a recipe writes behind the name.
        grammars: Name to a function of training rows and rows to answer, to the grammar of each
            answer; the first is what `chat.constrain: auto` means.
        parts: The jobs that one model learns together, where there are several.
    """

    configure: "Callable[[Any], Task] | None" = None
    forms: "Mapping[str, Task]" = field(default_factory=dict)
    grammars: Mapping[str, Grammars] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Paths:
    """The fields of rows that are paths.

    Attributes:
        finders: Field to what leads from a folder, and what a row says, to a file.
        folder: Of the file of the rows, which paths are relative to; None for the working folder.
    """

    finders: "Mapping[str, Callable[[Path, str], Path]]" = field(default_factory=dict)
    folder: Path | None = None

    def of(self, row: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Those of a row as whole paths, and which of these were relative.

        Example:
            >>> paths = Paths({"database": Path.joinpath}, Path("/job"))
            >>> paths.of({"database": "b.db", "question": "?"})
            ({'database': '/job/b.db'}, {'database': '/job/b.db'})
        """
        folder = (self.folder or Path()).resolve()
        given = {name: row[name].strip() for name in self.finders if row.get(name)}
        whole = {n: str(self.finders[n](folder, path)) for n, path in given.items() if path}
        # A path that was whole stays so, wherever the row is written.
        return whole, {n: path for n, path in whole.items() if not Path(given[n]).is_absolute()}


@dataclass(frozen=True)
class Task:
    """All that is particular to one task.

    Attributes:
        name: As the recipe writes it; the folder's name.
        summary: One line for people.
        answer: The kind of answer, which decides head, loss and metrics.
        columns: The fields a row must have, and what they hold: first what is asked, last what
            is answered.
        to_example: Row, keyed by those fields, to example.
        optional: Fields that a row may have.
        paths: Those that are paths; `to_example` gets them whole.
        conversations: Rows of a chat file come as `messages` and `tools`; else as the fields that
            its last question and its last answer are.
        judging: How its rows and answers are judged.
        choices: What a recipe may choose of it.
    """

    name: str
    summary: str
    answer: Answer
    columns: Mapping[str, str]
    to_example: Callable[[Mapping[str, Any]], Example]
    optional: Mapping[str, str] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    conversations: bool = False
    judging: Judging = Judging()
    choices: Choices = Choices()

    @property
    def asked(self) -> str:
        """The field of what people write."""
        return next(iter(self.columns))

    @property
    def answered(self) -> str:
        """The field of what must come out."""
        return list(self.columns)[-1]

    @property
    def marks(self) -> bool:
        """Whether rows are answered by spans of what is asked, however an answer is written."""
        return self.answered == "spans"

    def at(self, folder: Path) -> "Task":
        """The task for rows of a file in a folder, which paths in them are relative to."""
        return replace(self, paths=replace(self.paths, folder=folder))

    def led_by(self, system: str | None) -> "Task":
        """The task with that before what it has the system say; people's rows say it themselves."""
        if system is None or self.conversations or self.choices.parts:
            return self
        return replace(self, to_example=lambda row: self.to_example(row).after(system))

    def read(self, row: Mapping[str, Any], origin: str = "") -> Example:
        """Make an example of a row as a file has it, and remember the row.

        Args:
            row: By field; lists, numbers and nothing are read as text.
            origin: What messages call it by.

        Raises:
            DataError: The task cannot use the row.

        Example:
            >>> example = get("hashtags").read({"text": "Oggi si inforna.", "hashtags": ["pane"]})
            >>> example.target, example.fields["hashtags"]
            ('#pane', ['pane'])
        """
        texts = {name: as_text(value) for name, value in row.items()}
        whole, moving = self.paths.of(texts)
        example = self.to_example(texts | whole)
        return replace(example, origin=origin, fields=row, paths=moving)


def as_text(value: Any) -> Any:
    """A value of a row as tasks read it: text; turns and tools stay as they are.

    A whole number that Parquet or JSON gave as a float loses its .0. Lists and objects become
    JSON, which a task that wants them reads from CSV as well.

    Example:
        >>> as_text(12.0), as_text(True), as_text(["è"]), as_text(None)
        ('12', 'true', '["è"]', '')
    """
    if isinstance(value, str | tuple):
        return value
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def names() -> list[str]:
    """All tasks that can be named in a recipe.

    Example:
        >>> "classification" in names()
        True
    """
    own = [path.parent.name for path in Path(__file__).parent.glob("*/__init__.py")]
    return sorted({*own, *(entry.name for entry in entry_points(group="fucina.tasks"))})


def get(name: str) -> Task:
    """Load one task, or a form of it.

    Raises:
        RecipeError: There is no such task; the nearest name is offered.

    Example:
        >>> get("entities").answer, get("entities.json").answer
        ('spans', 'text')
    """
    name, _, form = name.partition(".")
    task = _load(name)
    if not form:
        return task
    forms = task.choices.forms
    if form not in forms:
        raise RecipeError(
            f"{name} has no form {form!r}.",
            fix=f"Set task: {nearest(form, forms)}" if forms else f"Set task: {name}.",
        )
    return forms[form]


def _load(name: str) -> Task:
    if (Path(__file__).parent / name / "__init__.py").is_file() and name.isidentifier():
        return import_module(f"fucina.tasks.{name}").TASK
    for entry in entry_points(group="fucina.tasks"):
        if entry.name == name:
            return entry.load()
    raise RecipeError(f"no task {name!r}.", fix=f"Set task: {nearest(name, names())}")


def of(recipe: "Recipe") -> Task:
    """The task of a recipe, set as its own section says.

    Where a task has the system say something of its own, such as a schema, what the recipe has it
    say comes before.

    Raises:
        RecipeError: There is no such task.
    """
    task = get(recipe.task)
    configure = task.choices.configure
    task = configure(getattr(recipe, task.name)) if configure else task
    return task.led_by(recipe.chat.system)


def folder(name: str) -> Path:
    """Where a task keeps its recipe, sample and golden rows."""
    return Path(import_module(get(name).to_example.__module__).__file__ or "").parent
