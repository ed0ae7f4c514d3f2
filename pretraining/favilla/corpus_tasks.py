"""Task-like sources as conversations: commands, SQL, notes of dialogues, role play."""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from corpus_cleaning import language, mend
from corpus_sources import read_lines, read_rows, read_tar

from fucina.errors import DataError

__all__ = ["TASKS", "Row", "tldr_page"]

Messages = list[dict[str, str]]
# Id, group and turns: the rows of a group are held out together.
Row = tuple[str, str, Messages]

ABOUT = {
    "it": ("Che cos'è `{}`?", "A che cosa serve `{}`?", "Spiega il comando `{}`.",
           "Cosa fa `{}`?"),
    "en": ("What is `{}`?", "What is `{}` for?", "Explain the command `{}`.",
           "What does `{}` do?"),
}  # fmt: skip
ASK_COMMAND = {
    "it": ("{}", "Come si fa? {}", "Scrivi il comando: {}", "Quale comando uso? {}",
           "Dammi il comando per questo: {}"),
    "en": ("{}", "How do I do this? {}", "Write the command: {}", "Which command do I use? {}",
           "Give me the command for this: {}"),
}  # fmt: skip
ASK_BASH = (
    "{}", "Write a Bash command: {}", "{} Answer with the command only.",
    "Which shell command does this? {}", "Linux terminal: {}", "Translate to Bash: {}",
)  # fmt: skip
ASK_SQL = (
    "Write one SQL query that answers the question. Tables: {}",
    "You turn questions into SQL. Schema: {}",
    "Answer with SQL only. The database has these tables: {}",
    "Text to SQL. Tables and columns: {}",
    "Given the tables {}, write the query.",
)
ASK_NOTE = (
    "Summarize this visit for the {} of the note.\n\n{}",
    "Write the {} from this conversation.\n\n{}",
    "From the dialogue, write a short note ({}).\n\n{}",
    "{1}\n\nSummarize the dialogue as: {0}.",
    "{1}\n\nWhat goes under {0}?",
)
SECTIONS = {
    "FAM/SOCHX": "family and social history", "GENHX": "history of the present illness",
    "PASTMEDICALHX": "past medical history", "CC": "chief complaint",
    "PASTSURGICAL": "past surgical history", "ALLERGY": "allergies", "ROS": "review of systems",
    "MEDICATIONS": "medications", "ASSESSMENT": "assessment", "EXAM": "physical exam",
    "DIAGNOSIS": "diagnosis", "DISPOSITION": "disposition", "PLAN": "plan",
    "EDCOURSE": "emergency department course", "IMMUNIZATIONS": "immunizations",
    "IMAGING": "imaging", "GYNHX": "gynecologic history", "PROCEDURES": "procedures",
    "OTHER_HISTORY": "other history", "LABS": "labs",
}  # fmt: skip
MACHINE = re.compile(r"as an ai language model|as a language model|openai|chatgpt|gpt-?[34]", re.I)
OPTIONS = re.compile(r"\[([^\[\]|{}]+)\|[^\[\]{}]+\]")
ALIAS = re.compile(r"(?:this command is an alias|questo comando è un alias)", re.I)
DIALECT = re.compile(r"^\((?:GNU|BSD|Linux)[ -]specific\)\s*")
SLOT = re.compile(r"\{\{(.*?)\}\}(?!\})")
LETTER = re.compile(r"\[(\w+)\]")


def _chosen(options: Sequence[str], name: str) -> str:
    """One of the options, always the same for a name."""
    return options[int(sha256(name.encode()).hexdigest(), 16) % len(options)]


def _turns(*contents: str, system: str = "") -> Messages:
    turns = [{"role": "system", "content": system}] if system else []
    for place, content in enumerate(contents):
        turns.append({"role": "assistant" if place % 2 else "user", "content": content})
    return turns


def _tldr(path: Path, dropped: Counter[str], tongue: str) -> Iterator[Row]:
    folder = "pages.it/" if tongue == "it" else "pages/"
    for name, text in read_tar(path):
        if not name.startswith(folder):
            continue
        group = name.removeprefix(folder).removesuffix(".md")
        row = f"tldr_{tongue}/{group}"
        title, about, examples = tldr_page(text)
        if ALIAS.match(about):
            dropped["pages that only name another command"] += 1
            continue
        if not about or not examples:
            dropped["pages without description or example"] += 1
            continue
        if tongue == "it" and language(" ".join([about, *(a for a, _ in examples)]))[0] != "it":
            dropped["pages in another language"] += 1
            continue
        contents = [_chosen(ABOUT[tongue], row).format(title), about]
        for number, (asked, command) in enumerate(examples):
            asking = _chosen(ASK_COMMAND[tongue], f"{row}/{number}")
            contents += [asking.format(asked), command]
        yield row, group, _turns(*contents)


def tldr_page(text: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Title, description and examples of a page of tldr, without its marks."""
    title, about, examples, asked = "", [], [], ""
    for line in mend(text, code=True).split("\n"):
        if line.startswith("# "):
            title = line[2:].strip()
        elif (
            line.startswith("> ")
            and "http" not in line
            and not re.match(
                r"> (?:Vedi anche|See also|Maggiori informazioni|More information)", line
            )
        ):
            about.append(line[2:].strip())
        elif line.startswith("- "):
            asked = LETTER.sub(r"\1", line[2:].strip()).rstrip(":").strip() + "."
        elif line.startswith("`") and asked:
            command = SLOT.sub(r"\1", OPTIONS.sub(r"\1", line.strip("`")))
            examples.append((asked.replace("..", "."), command.strip()))
            asked = ""
    return title, " ".join(about), examples


def _tldr_it(paths: list[Path], dropped: Counter[str]) -> Iterator[Row]:
    return _tldr(paths[0], dropped, "it")


def _tldr_en(paths: list[Path], dropped: Counter[str]) -> Iterator[Row]:
    return _tldr(paths[0], dropped, "en")


def _commands(paths: list[Path], dropped: Counter[str]) -> Iterator[Row]:
    asked, answered = (list(read_lines(path)) for path in paths)
    if len(asked) != len(answered):
        raise DataError(
            f"{paths[0]} has {len(asked)} lines and {paths[1]} has {len(answered)}.",
            fix="Copy both files again; line by line they belong together.",
        )
    for number, (request, command) in enumerate(zip(asked, answered, strict=True), 1):
        request, command = DIALECT.sub("", mend(request)), mend(command, code=True)
        if not command or len(request.split()) < 3 or len(command) > 300:
            dropped["requests too short, commands empty or too long"] += 1
            continue
        name = f"nl2bash/{number}"
        request = request[0].upper() + request[1:]
        request += "" if request[-1] in ".?!" else "."
        yield name, command, _turns(_chosen(ASK_BASH, name).format(request), command)


def _roleplay(paths: list[Path], dropped: Counter[str]) -> Iterator[Row]:
    for number, row in enumerate(_json(paths[0]), 1):
        asked, given, told = (
            mend(row.get(key, "")) for key in ("instruction", "input", "response")
        )
        if not asked or not told or MACHINE.search(f"{asked} {given} {told}"):
            dropped["empty answers, or speaking as a language model"] += 1
            continue
        name = f"roleplay/{number}"
        # What is put in beside the instruction is what the other says to the character.
        turns = _turns(given, told, system=asked) if given else _turns(asked, told)
        yield name, name, turns


def _summaries(paths: list[Path], dropped: Counter[str]) -> Iterator[Row]:
    for row in csv.DictReader(f"{line}\n" for line in read_lines(paths[0])):
        if not row.get("dialogue") or not row.get("section_text"):
            raise DataError(
                f"{paths[0]} has a row without dialogue or section_text.",
                fix="Remove the row, or copy the file again.",
            )
        dialogue, note = mend(row["dialogue"]), mend(row["section_text"])
        if len(note) < 12 or len(note) > len(dialogue) * 2 + 200:
            dropped["notes of a word, or with more than was said"] += 1
            continue
        name = f"mts_dialog/{row['ID']}"
        section = SECTIONS.get(row["section_header"], row["section_header"].lower())
        yield name, name, _turns(_chosen(ASK_NOTE, name).format(section, dialogue), note)


def _queries(paths: list[Path], dropped: Counter[str]) -> Iterator[Row]:
    schemas = {entry["db_id"]: _schema(entry) for entry in _json(paths[1])}
    measured = paths[0].with_name("dev.json")
    if not measured.is_file():
        raise DataError(
            f"{measured} is missing: nobody knows which databases are for measuring.",
            fix="Give the whole folder of Spider.",
        )
    kept_apart = {row["db_id"] for row in _json(measured)}
    for number, row in enumerate(read_rows(paths[0], "db_id", "question", "query"), 1):
        if row["db_id"] in kept_apart or row["db_id"] not in schemas:
            dropped["databases of the dev set, or without a schema"] += 1
            continue
        schema = schemas[row["db_id"]]
        if len(schema) > 3000:
            dropped["schemas of more than 3,000 characters"] += 1
            continue
        query = re.sub(r"\s+([,;)])", r"\1", " ".join(row["query"].split())).rstrip("; ")
        name = f"spider/{number}"
        system = _chosen(ASK_SQL, name).format(schema)
        yield name, row["db_id"], _turns(mend(row["question"]), query, system=system)


def _schema(entry: dict) -> str:
    columns = defaultdict(list)
    for table, column in entry["column_names_original"]:
        columns[table].append(column)
    names = entry["table_names_original"]
    return ", ".join(f"{name}({', '.join(columns[place])})" for place, name in enumerate(names))


def _json(path: Path) -> list[dict]:
    try:
        return json.loads("\n".join(read_lines(path)))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON.", fix="Copy the file again.") from error


TASKS: dict[str, Callable[[list[Path], Counter[str]], Iterator[Row]]] = {
    "tldr_it": _tldr_it,
    "tldr_en": _tldr_en,
    "commands": _commands,
    "roleplay": _roleplay,
    "summaries": _summaries,
    "queries": _queries,
}
