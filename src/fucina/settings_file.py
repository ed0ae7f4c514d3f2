"""YAML that becomes settings, with the line and the nearest name for whatever is wrong in it."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML, YAMLError

from fucina.config import section
from fucina.errors import RecipeError, nearest

__all__ = [
    "explain",
    "known",
    "lines",
    "of_words",
    "plain",
    "put",
    "read_yaml",
    "write_yaml",
]

Kind = TypeVar("Kind", bound=BaseModel)


def read_yaml(text: str, name: str) -> Any:
    """Read YAML that remembers its lines.

    Raises:
        RecipeError: It is none; the message has the line.
    """
    try:
        return YAML(typ="rt").load(text)
    except YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RecipeError(
            f"{name}{line} is not YAML: {problem}.",
            fix="Check indentation, colons and quotes on that line.",
        ) from error


def plain(tree: Any) -> Any:
    """Drop the round-trip types of ruamel, which pydantic need not know."""
    if isinstance(tree, Mapping):
        return {str(key): plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    for kind in (bool, int, float, str):
        if isinstance(tree, kind):
            return kind(tree)
    return tree


def lines(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Where each key and each item of a list stands in the file, counted from 1."""
    found: dict[tuple[str, ...], int] = {}
    where = tree.lc  # ruamel keeps line and column of every key and item here
    if isinstance(tree, Mapping):
        inner = [(str(key), value, where.key(key)) for key, value in tree.items()]
    else:
        inner = [(str(place), value, where.item(place)) for place, value in enumerate(tree)]
    for key, value, (line, _) in inner:
        found[(*path, key)] = line + 1
        if isinstance(value, Mapping | list):
            found |= lines(value, (*path, key))
    return found


def known(root: type[BaseModel], path: Sequence[str]) -> Mapping[str, FieldInfo]:
    """The settings that can be written at a place below a root; none where there is no section."""
    kind: type[BaseModel] | None = root
    for part in path:
        if kind is not None and not part.isdigit():
            field = kind.model_fields.get(part)
            kind = section(field.annotation) if field else None
    return kind.model_fields if kind else {}


def of_words(
    kind: type[Kind], words: Sequence[str], name: str, *, before: Kind | None = None
) -> Kind:
    """Settings of one section out of words `key=value`, as on the command line.

    Args:
        kind: The section.
        words: What is said.
        name: What messages call it.
        before: What holds where nothing is said; None for the defaults.

    Raises:
        RecipeError: A key or a value is wrong.
    """
    tree: dict[str, Any] = before.model_dump() if before else {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise RecipeError(f"{word!r} is no setting.", fix="Write key=value, without spaces.")
        put(tree, key.split("."), plain(read_yaml(value, word)), word)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise explain(error, {}, name, kind) from error


INNER = (
    "literal[",
    "constrained-",
    "union[",
    "tuple[",
    "dict[",
    "[key]",
)  # parts of a place that pydantic adds
WORDS = (("tuple", "list"), ("a valid boolean", "true or false"))  # as YAML has them
TYPES = {"bool", "int", "float", "str"}  # the same at its end, where a setting may be of several


def explain(
    error: ValidationError,
    lines: Mapping[tuple[str, ...], int],
    name: str,
    root: type[BaseModel],
) -> RecipeError:
    """One sentence for every wrong setting, with its line and the nearest known name."""
    problems: list[str] = []
    fixes: list[str] = []
    unfit: dict[str, list[str]] = {}  # a setting of several types is wrong once for each
    for wrong in error.errors():
        path = tuple(str(part) for part in wrong["loc"])
        line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 0)
        key = _shown(wrong["loc"])
        where = f" (line {line})" if line else ""
        if wrong["type"] == "extra_forbidden":
            problems.append(f"unknown setting {key}{where}")
            fixes.append(f"{key}: {nearest(path[-1], known(root, path[:-1]) or root.model_fields)}")
        elif wrong["type"] in {"model_type", "dict_type"} and known(root, path):
            problems.append(f"{key}{where} is a section, not {wrong['input']!r}")
            fixes.append(f"{key}: write settings below it: {', '.join(sorted(known(root, path)))}")
        elif wrong["type"] == "missing":
            problems.append(f"{key} is missing{where}")
            fixes.append(f"add {key}")
        elif wrong["type"] == "value_error":
            problems.append(f"{key}{where}: {wrong['ctx']['error']}".removeprefix(": "))
            # What belongs to no one setting is said by the problem: several contradict each other.
            fixes.append(f"{key}: {_description(root, path)}" if key else "change one of them")
        else:
            if path[-1:] and path[-1] in TYPES and path[-1] not in known(root, path[:-1]):
                key = _shown(wrong["loc"][:-1])
            message = wrong["msg"].lower()
            for theirs, ours in WORDS:
                message = message.replace(theirs, ours)
            said = unfit.setdefault(f"{key}{where}: {{}}, not {wrong['input']!r}", [])
            said.append(message.partition(", unable to")[0])
            fixes.append(f"{key}: {_description(root, path)}")
    for sentence, reasons in unfit.items():
        every = " or ".join(
            [reasons[0], *(r.removeprefix("input should be ") for r in reasons[1:])]
        )
        problems.append(sentence.replace("{}", every, 1))
    return RecipeError(
        f"{name}: {'; '.join(dict.fromkeys(problems))}.", fix=f"{'; '.join(dict.fromkeys(fixes))}"
    )


def _shown(place: Sequence[str | int]) -> str:
    """A place of the recipe as people write it; items of lists are counted from 1."""
    parts = [str(part + 1) if isinstance(part, int) else part for part in place]
    return ".".join(part for part in parts if not part.startswith(INNER))


def _description(root: type[BaseModel], path: Sequence[str]) -> str:
    for end in range(len(path), 0, -1):  # the innermost setting says most about a wrong value
        field = known(root, path[: end - 1]).get(path[end - 1])
        if field is not None and field.description:
            choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
            return field.description + (f" One of: {', '.join(choices)}." if choices else "")
    return "see the reference"


def put(tree: dict[str, Any], path: Sequence[str], value: Any, given: str) -> None:
    """Set a value below the keys of a path, with the sections that are not there yet.

    Raises:
        RecipeError: There is a value where a section is meant; `given` is named.

    Example:
        >>> tree = {}
        >>> put(tree, ["training", "epochs"], 3, "training.epochs=3")
        >>> tree
        {'training': {'epochs': 3}}
    """
    *parents, last = path
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"{given}: {parent} is not a section.", fix="Use section.key=value.")
    tree[last] = value


def write_yaml(settings: BaseModel) -> str:
    """Write settings, all of them, as YAML; accents stay letters."""
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.dump(settings.model_dump(mode="json"), stream)
    return stream.getvalue()
