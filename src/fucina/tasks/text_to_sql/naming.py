"""Which file a row means by the name of its database: Spider and BIRD name a folder's."""

from functools import lru_cache
from pathlib import Path

from fucina.errors import DataError

__all__ = ["find_database"]

SUFFIXES = (".sqlite", ".db", ".sql")


def find_database(folder: Path, given: str) -> Path:
    """Lead from what a row says to a file, which need not be there where it is given as a path.

    A name without a suffix that is no file is looked for as those sets keep them: `world_1` as
    `*/world_1/world_1.sqlite` (or .db, .sql) in a folder beside the data file.

    Args:
        folder: Of the data file.
        given: A path relative to it, or such a name.

    Raises:
        DataError: Several files could be meant.
    """
    place = (folder / given).resolve()
    if place.suffix or "/" in given or "\\" in given or place.is_file():
        return place
    found = [
        file
        for beside in _folders(folder)
        for suffix in SUFFIXES
        if (file := beside / given / f"{given}{suffix}").is_file()
    ]
    if len({file.parent for file in found}) > 1:
        shown = ", ".join(str(file.relative_to(folder)) for file in found)
        raise DataError(
            f"the database {given!r} is in several folders: {shown}.",
            fix="Give the path of the one that is meant, or move the others away.",
        )
    return found[0] if found else place


@lru_cache(maxsize=64)
def _folders(folder: Path) -> tuple[Path, ...]:
    """The folders in a folder; looked up once, as each of thousands of rows asks."""
    return tuple(sorted(path for path in folder.iterdir() if path.is_dir()))
