"""What goes into the corpus and what never does: sources, licences, languages, domains."""

import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fucina.errors import DataError

__all__ = ["REFUSED", "SOURCES", "Source", "check_allowed", "read_lines", "read_rows", "read_tar"]

LICENCES = {"public domain", "CC BY 4.0", "CC BY-SA 4.0", "MIT"}
# Words in a path that mean that a file is for measuring.
MEASURING = re.compile(
    r"(?:^|[^a-z])(?:test|dev|valid|validation|eval|heldout)(?:[^a-z]|set|ation|$)"
)
UNFIT = re.compile(r"\b(?:NC|ND)\b|none stated|non-?commercial", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One source of the corpus and one file of the result.

    Args:
        name: Of the file that comes out.
        files: Read from, relative to the folder of data; the first holds the rows.
        kind: How it is read: `novels`, `documentation`, or a kind of task of `corpus_tasks`.
        language: `it`, `en`, or both.
        domain: What it is about, for the mix.
        licence: As the source states it.
        origin: Who made it, for attribution.
    """

    name: str
    files: tuple[str, ...]
    kind: str
    language: str
    domain: str
    licence: str
    origin: str


_MICROSOFT = "Microsoft, {} (Italian edition)"


def _microsoft(name: str, domain: str, origin: str) -> Source:
    return Source(
        f"it_{name}", (f"corpus/it_msdocs_{name}.jsonl.xz",), "documentation", "it",
        domain, "CC BY 4.0", _MICROSOFT.format(origin),
    )  # fmt: skip


SOURCES = (
    Source(
        "it_novels", ("corpus/it_eltec_ita_novels.jsonl.xz",), "novels", "it", "novels",
        "public domain", "ELTeC, Italian collection",
    ),
    Source(
        "en_novels", ("corpus/en_eltec_eng_novels.jsonl.xz",), "novels", "en", "novels",
        "public domain", "ELTeC, English collection",
    ),
    Source(
        "en_novels_more", ("corpus/en_novels_sample.jsonl.xz",), "novels", "en", "novels",
        "public domain", "A sample of a hundred English novels",
    ),
    _microsoft("architecture_center", "cloud", "Azure Architecture Center"),
    _microsoft("dynamics365_smb", "business software", "Dynamics 365 Business Central"),
    _microsoft("dynamics365_operations", "business software", "Dynamics 365 Operations"),
    _microsoft("visualstudio", "programming", "Visual Studio documentation"),
    _microsoft("sql", "databases", "SQL Server documentation"),
    Source(
        "tldr_it", ("cli_tldr_it_en/tldr_pages.tar.xz",), "tldr_it", "it", "command line",
        "CC BY 4.0", "tldr-pages team and contributors",
    ),
    Source(
        "tldr_en", ("cli_tldr_it_en/tldr_pages.tar.xz",), "tldr_en", "en", "command line",
        "CC BY 4.0", "tldr-pages team and contributors",
    ),
    Source(
        "nl2bash", ("cli_nl2bash/all.nl", "cli_nl2bash/all.cm"), "commands", "en",
        "command line", "MIT", "TellinaTool/nl2bash",
    ),
    Source(
        "roleplay", ("chat_gpteacher/Roleplay/roleplay-simple-deduped-roleplay-instruct.json",),
        "roleplay", "en", "conversation", "MIT", "teknium1/GPTeacher",
    ),
    Source(
        "mts_dialog", ("summ_mts_dialog/MTS-Dialog-TrainingSet.csv",), "summaries", "en",
        "medical notes", "CC BY 4.0", "abachaa/MTS-Dialog",
    ),
    Source(
        "spider", ("sql_spider/train_rebuilt.jsonl", "sql_spider/tables.json"), "queries", "en",
        "databases", "CC BY-SA 4.0", "Spider, Yu et al. 2018",
    ),
)  # fmt: skip

# Looked at and left out. The licence speaks for the texts themselves where a mirror says another.
REFUSED = {
    "summ_samsum": "CC BY-NC-ND 4.0 upstream, and only validation and test are there",
    "sentiment_ironita_it": "CC BY-NC-SA 4.0",
    "ner_kind_it": "CC BY-NC 4.0",
    "rag_cranfield_en": "no licence stated",
    "rag_squad_it": "a test set",
    "sql_spider/dev.json": "a dev set",
    "summ_mts_dialog validation and test sets": "for measuring",
    "summ_mts_dialog/Augmented-Data": "paraphrases of the same dialogues, validation among them",
    "chat_llamafactory_demo/alpaca_en_demo.json": "Apache-2.0 for the repository, but rows look "
    "like Alpaca with answers of GPT-4, published under CC BY-NC 4.0",
    "chat_llamafactory_demo, other files": "extracts of other sets, licences not stated one by one",
    "intent_clinc150": "kept for measuring",
    "intent_xsid_it_en": "validation and test sets",
    "intent_bitext_customer_en": "kept for measuring; templates, not language",
    "intent_home_assistant_it_en": "kept for measuring",
    "ner_wnut17_en": "kept for measuring",
    "cli_prompts_chat": "written by many, several languages, prompts for pictures",
    "cli_starter_workflows": "175 short descriptions",
}


def check_allowed(source: Source, manifest: str) -> None:
    """Refuse a source that is for measuring, or whose licence does not allow training.

    Args:
        source: Of the table.
        manifest: Text of MANIFEST.md of the folder of data; its sections begin with `## name`.

    Raises:
        DataError: A file's name says test or dev, the table's licence is not an open one, or the
            manifest says that it is NC or ND or states none.

    Example:
        >>> bad = Source("x", ("set/dev.json",), "queries", "en", "databases", "MIT", "somebody")
        >>> check_allowed(bad, "")
        Traceback (most recent call last):
        fucina.errors.DataError: x: set/dev.json is a set for measuring. Fix: Leave it out of ...
    """
    for file in source.files:
        name = re.sub(r"([a-z])([A-Z])", r"\1-\2", file).lower()
        if MEASURING.search(name):
            raise DataError(
                f"{source.name}: {file} is a set for measuring.", fix="Leave it out of SOURCES."
            )
    folder = source.files[0].split("/")[0]
    section = re.search(rf"^## {re.escape(folder)}$(.*?)(?=^## |\Z)", manifest, re.M | re.S)
    stated = re.search(r"^- licence: (.*)$", section[1], re.M) if section else None
    if folder != "corpus" and not stated:
        raise DataError(
            f"{source.name}: MANIFEST.md states no licence of {folder}.",
            fix="Add the section with the licence as the source states it, or leave it out.",
        )
    if source.licence not in LICENCES or (stated and UNFIT.search(stated[1])):
        raise DataError(
            f"{source.name}: the licence '{stated[1] if stated else source.licence}' does not "
            "allow to train what is given away.",
            fix="Leave it out of SOURCES.",
        )


def _open(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path} is missing.", fix="Give the folder of data that MANIFEST.md describes, whole."
        )
    return path


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, packed with xz or not, without their ends.

    Raises:
        DataError: The file is missing, cut off, or not UTF-8.
    """
    _open(path)
    opened = lzma.open if path.suffix == ".xz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\n")
    except (EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path} is cut off or damaged.", fix="Copy the file again.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text.", fix="Copy the file again.") from error


def read_rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """The rows of a .jsonl file, each with these columns, which are texts that are not empty.

    Raises:
        DataError: A row is no object, or a column is missing or empty.
    """
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, line {number} is not JSON.", fix="Copy the file again, or mend the line."
            ) from error
        for column in columns:
            value = row.get(column) if isinstance(row, dict) else None
            if not isinstance(value, str) or not value.strip():
                raise DataError(
                    f"{path}, line {number} has no {column}.",
                    fix="Remove the row, or give it one.",
                )
        yield row


def read_tar(path: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of the .md files of a .tar.xz, sorted by name."""
    _open(path)
    try:
        with tarfile.open(path, "r:xz") as archive:
            pages = [
                (member.name, file.read().decode("utf-8"))
                for member in archive
                if member.name.endswith(".md") and (file := archive.extractfile(member))
            ]
    except (EOFError, lzma.LZMAError, tarfile.TarError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is cut off or damaged.", fix="Copy the file again.") from error
    yield from sorted(pages)
