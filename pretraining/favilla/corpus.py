"""Make the corpus that favilla is pretrained on: clean, without duplicates, with held-out texts.

    python pretraining/favilla/corpus.py DATA OUT

DATA is a folder of public data with its MANIFEST.md; what is read of it, and what never, stands in
corpus_sources.py. OUT gets a file for each source, `OUT/<name>.jsonl.xz`, with rows `{id, text}` or
`{id, messages}`, the same below `OUT/heldout/`, and `OUT/corpus.json`, which says what is in them
and what was dropped. Two runs on the same data give the same files. Nothing is left half-written:
OUT appears when all is done.
"""

import json
import lzma
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from corpus_cleaning import clean_novel, language
from corpus_pages import clean_documentation
from corpus_parting import Collected, Document, drop_repeated_lines, part_novels, part_others
from corpus_sources import REFUSED, SOURCES, Source, check_allowed, read_rows
from corpus_tasks import TASKS

from fucina.errors import DataError, FucinaError

__all__ = ["build", "main"]

SAMPLE = 30_000  # characters of a book that tell its language


def build(data: Path, out: Path, sources: tuple[Source, ...] = SOURCES) -> dict:
    """Read, clean, part and write.

    Args:
        data: Folder of data with MANIFEST.md.
        out: Folder to write; one that exists must be a corpus of before, which is replaced.
        sources: Which to take.

    Returns:
        What stands in corpus.json.

    Raises:
        DataError: Something is missing, damaged or not allowed; `out` is then as it was.
    """
    manifest = data / "MANIFEST.md"
    if not manifest.is_file():
        raise DataError(
            f"{manifest} is missing, which states the licences.", fix="Give the folder of data."
        )
    if out.exists() and not (out / "corpus.json").is_file():
        raise DataError(f"{out} is there and is no corpus.", fix="Give a folder that is not there.")
    for source in sources:
        check_allowed(source, manifest.read_text(encoding="utf-8"))
    collected = [_collect(source, data) for source in sources]
    _say("looking for books told twice and repeated paragraphs")
    part_novels([one for one in collected if one.source.kind == "novels"])
    drop_repeated_lines([one for one in collected if one.source.kind == "documentation"])
    _say("comparing documents with one another")
    part_others([one for one in collected if one.source.kind != "novels"])
    return _write(collected, out)


def _collect(source: Source, data: Path) -> Collected:
    """Read and clean a source; novels keep their books whole for now."""
    dropped: Counter[str] = Counter()
    documents, read = [], 0
    paths = [data / file for file in source.files]
    if source.kind in TASKS:
        for name, group, turns in TASKS[source.kind](paths, dropped):
            text = "\n".join(turn["content"] for turn in turns)
            documents.append(Document(name, group, text, turns))
        read = len(documents) + sum(dropped.values())
    else:
        for row in read_rows(paths[0], "id", "text"):
            read += 1
            if source.kind == "novels":
                text = "\n".join(clean_novel(row["text"], source.language, dropped))
                if language(text[:SAMPLE])[0] != source.language:
                    dropped["books in another language"] += 1
                    continue
            elif "/includes/" in row["id"]:
                dropped["pages that are pieces of others"] += 1
                continue
            else:
                text = clean_documentation(row["text"], source.language, dropped)
            if text:
                documents.append(Document(f"{source.name}/{row['id']}", row["id"], text))
            if read % 1000 == 0:
                _say(f"{source.name}: {read:,} read")
    _say(f"{source.name}: {read:,} read, {len(documents):,} are clean")
    return Collected(source, documents, read, dropped=dropped)


def _write(collected: list[Collected], out: Path) -> dict:
    """Write beside and rename, so that there is never half a corpus."""
    beside = out.with_name(f".{out.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "heldout").mkdir(parents=True)
    files = {}
    for one in collected:
        for folder, documents in (("", one.documents), ("heldout/", one.heldout)):
            name = f"{folder}{one.source.name}.jsonl.xz"
            _say(f"writing {name}")
            files[name] = _file(beside / name, documents, one, held=bool(folder))
    report = {"files": files, "refused": REFUSED}
    (beside / "corpus.json").write_text(
        json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    old = out.with_name(f".{out.name}.old")
    if out.exists():
        out.rename(old)
    beside.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return report


def _file(path: Path, documents: list[Document], one: Collected, *, held: bool) -> dict:
    packed = lzma.compress("".join(map(Document.line, documents)).encode(), preset=1)
    path.write_bytes(packed)
    facts = {key: value for key, value in asdict(one.source).items() if key not in ("name", "kind")}
    facts |= {
        "documents": len(documents),
        "characters": sum(len(document.text) for document in documents),
        "bytes": sum(document.bytes for document in documents),
        "sha256": sha256(packed).hexdigest(),
    }
    if not held:
        dropped = {rule: count for rule, count in sorted(one.dropped.items()) if count}
        facts |= {"rows_read": one.read, "dropped": dropped}
    return facts


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run from the command line: 0 when all is written, 2 when something must be mended first."""
    if len(arguments) != 2:
        _say("usage: python pretraining/favilla/corpus.py DATA OUT")
        return 2
    try:
        report = build(Path(arguments[0]), Path(arguments[1]))
    except FucinaError as error:
        _say(str(error))
        return 2
    for name, facts in report["files"].items():
        print(f"{name:45} {facts['documents']:7,} documents {facts['bytes'] / 1e6:8.2f} MB")
        for rule, count in facts.get("dropped", {}).items():
            print(f"    {count:9,} {rule}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
