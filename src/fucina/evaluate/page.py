"""The pieces of a page: sections, tables, figures; what users wrote is always escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["figure", "folded", "page", "section", "table"]

STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--soft:#52606d;--line:#e4e7eb;--page:#fff;--hot:#b4431f}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#9aa5b1;--line:#323f4b;--page:#171c21;--hot:#f0875f}}
*{box-sizing:border-box}body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:46rem;background:var(--page);
color:var(--ink);font:16px/1.55 system-ui,sans-serif}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;
margin:2.6rem 0 .4rem}p.lead{font-size:1.15rem;border-left:4px solid var(--hot);padding-left:1rem;margin:1rem 0}
div.wide{overflow-x:auto}p.how{color:var(--soft);font-size:.9rem;margin:.2rem 0 .8rem}table{border-collapse:collapse;width:100%;
font-size:.92rem}th,td{text-align:left;padding:.32rem .6rem .32rem 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:break-word}th{font-weight:600;color:var(--soft)}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums;white-space:nowrap}figure{margin:.5rem 0;background:#fff;border-radius:6px;
padding:.6rem;overflow-x:auto}figure svg{max-width:100%;height:auto;display:block;margin:auto}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.6rem}summary{cursor:pointer}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.82rem;margin:0;background:none}details{margin:.4rem 0}
@media print{body{max-width:none}h2{break-after:avoid}figure,tr{break-inside:avoid}}
"""  # noqa: E501


def page(title: str, parts: Sequence[str]) -> str:
    """One HTML document of its parts; empty ones are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def section(title: str, how: str, body: str) -> str:
    """A heading, a sentence on how to read what follows, and that."""
    return f'<h2>{escape(title)}</h2>\n<p class="how">{escape(how)}</p>\n{body}'


def figure(svg: str) -> str:
    """A drawing."""
    return f"<figure>{svg}</figure>"


def folded(title: str, blocks: Mapping[str, str]) -> str:
    """A line that opens to blocks of text side by side, whose line ends and spaces stay."""
    inside = "".join(
        f'<div class="block"><p class="how">{escape(name)}</p><pre>{escape(text)}</pre></div>'
        for name, text in blocks.items()
    )
    opened = f'<summary>{escape(title)}</summary><div class="row">{inside}</div>'
    return f"<details>{opened}</details>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: int = 0) -> str:
    """Rows as a table; from column `numbers` on (if set) cells are numbers, aligned right."""

    def cells(row: Sequence[Any], tag: str) -> str:
        marks = [' class="n"' if numbers and i >= numbers else "" for i in range(len(row))]
        return "".join(
            f"<{tag}{mark}>{escape(str(cell))}</{tag}>"
            for mark, cell in zip(marks, row, strict=True)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{cells(header, 'th')}</tr></thead>"
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>'
