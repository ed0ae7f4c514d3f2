"""Find the query in what a model wrote, and tell the statements of a text apart."""

import re

__all__ = ["read_sql", "statements"]

FENCE = re.compile(r"```[ \t]*\w*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
# Not the word alone, which begins many a sentence: WITH name (columns) AS (
NAMED = r"(?:RECURSIVE\s+)?[\w\"`\[\]]+\s*(?:\([^()]*\)\s*)?AS\s*(?:(?:NOT\s+)?MATERIALIZED\s*)?"
WITH = rf"WITH\s+{NAMED}\("
BEGIN = rf"(?:SELECT\b|{WITH})"
LINE = re.compile(rf"^[ \t]*(?:\w+[ \t]*:[ \t]*)?({BEGIN})", re.IGNORECASE | re.MULTILINE)
ANYWHERE = re.compile(rf"\b({BEGIN})", re.IGNORECASE)
# Quotes, brackets and comments, within which a semicolon ends nothing.
CLOSED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL
)


def read_sql(text: str) -> str:
    r"""The query of an answer: of a fence of code where there is one, from SELECT or WITH on.

    A line that begins with SELECT or WITH goes before one that has it within. The query ends
    before the first semicolon or empty line; what follows is talk. Where there is none, the text
    is given back as it is, for SQLite to refuse.

    Example:
        >>> read_sql("Ecco la query:\n```sql\nSELECT nome FROM soci;\n```\nFunziona!")
        'SELECT nome FROM soci'
        >>> read_sql("SQL: select ';' ; drop table soci"), read_sql("Non lo so.")
        ("select ';'", 'Non lo so.')
    """
    fenced = [part for part in FENCE.findall(text) if ANYWHERE.search(part)]
    said = fenced[0] if fenced else text
    found = LINE.search(said) or ANYWHERE.search(said)
    if found is None:
        return text.strip()
    first = statements(said[found.start(1) :])[0]
    return re.split(r"\n[ \t]*\n", first, maxsplit=1)[0].strip()


def statements(text: str) -> list[str]:
    """The statements of a text, without their semicolons; comments alone are none.

    Example:
        >>> statements("SELECT 1; SELECT ';' -- a; b")
        ['SELECT 1', "SELECT ';' -- a; b"]
    """
    hidden = CLOSED.sub(lambda part: "x" * len(part.group()), text)
    ends = [place for place, letter in enumerate(hidden) if letter == ";"]
    parts = [
        text[begin:end].strip()
        for begin, end in zip([0, *(end + 1 for end in ends)], [*ends, len(text)], strict=True)
    ]
    said = [
        part for part in parts if re.sub(r"--[^\n]*|/\*.*?\*/", "", part, flags=re.DOTALL).strip()
    ]
    return said or [text.strip()]
