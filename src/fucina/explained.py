"""Explanations as sentences, and as one HTML page."""

from collections.abc import Sequence
from html import escape

from fucina.evaluate.page import page as whole
from fucina.evaluate.page import section, table
from fucina.records import Curve, Explanation

__all__ = ["confidence", "faith", "methods", "page", "signed", "strength"]

STEPS = 5  # of how strong a color is
SHOWN = 40  # words in a table of a page
# Orange and blue are told apart by all eyes; half transparent, they serve light and dark pages.
STYLE = """
.said{line-height:2.9;font-size:1.05rem;margin:.6rem 0}
.said span{display:inline-block;line-height:1.25;padding:.05rem .22rem .1rem;border-radius:4px;
text-align:center;white-space:pre-wrap;vertical-align:top}
.said small{display:block;font-size:.66rem;font-variant-numeric:tabular-nums}
.said .unread{opacity:.55;text-decoration:line-through}.said .marked{outline:2px solid currentColor}
.f1{background:#e69f001f}.f2{background:#e69f0040}.f3{background:#e69f0066}.f4{background:#e69f0094}
.f5{background:#e69f00c4}.a1{background:#0072b21f}.a2{background:#0072b240}.a3{background:#0072b266}
.a4{background:#0072b28c}.a5{background:#0072b2b3}
p.warning{border:1px solid var(--hot);border-radius:6px;padding:.5rem .8rem}
svg.curve{width:100%;max-width:17rem;height:auto}
svg.curve polyline{fill:none;stroke-width:2}svg.curve .own{stroke:var(--hot)}
svg.curve .random{stroke:var(--soft);stroke-dasharray:4 3}
svg.curve path{stroke:var(--line);fill:none}
svg.curve text{fill:var(--soft);font:11px system-ui,sans-serif}
"""


def strength(value: float, most: float) -> int:
    """How strong the color of a weight is, from -5 (against) to 5 (for); 0 where it is slight.

    Example:
        >>> strength(0.9, 0.9), strength(-0.2, 0.9), strength(0.01, 0.9), strength(0.0, 0.0)
        (5, -2, 0, 0)
    """
    share = abs(value) / most if most else 0.0
    if share < 0.05:
        return 0
    step = min(STEPS, 1 + int(share * STEPS))
    return step if value > 0 else -step


def signed(value: float) -> str:
    """A weight with its sign.

    Example:
        >>> signed(0.4567), signed(-12.0), signed(-0.0012)
        ('+0.46', '-12.00', '-1e-03')
    """
    return f"{value:+.2f}" if not value or abs(value) >= 0.005 else f"{value:+.0e}"


def confidence(found: Explanation) -> str:
    """What is explained, and how sure the model is of it."""
    sure = f"{found.confidence:.1%}"
    if found.kind == "text":
        own = (
            "the model writes it" if found.answer == found.answered else "the model writes another"
        )
        return f"{sure} a token, {own}"
    if found.answer == found.answered:
        return f"{sure} sure"
    return f"{sure} sure; the model answers {found.answered}"


def methods(found: Explanation) -> str:
    """How words were weighed, in a sentence or two."""
    members = f"Explained: {found.members}."
    if found.method == "occlusion":
        return f"Occlusion: {found.unit}. {members}"
    sums = f"the weights add up to {found.total or 0:+.2f}, but for {found.delta or 0:+.4f}"
    return f"Integrated gradients: {found.unit}; {sums} ({found.steps} steps). {members}"


def faith(found: Explanation) -> tuple[str, bool]:
    """Whether the weights can be believed, in a sentence, and whether it is a warning."""
    test = found.faithfulness
    if test is None:
        return "Not held against drawn orders: it may mean nothing.", True
    means = (
        f"the answer is {test.deletion.area:.2f} likely on average while the heaviest words are "
        f"taken away first (in drawn orders {test.deletion.random_area:.2f}), and "
        f"{test.insertion.area:.2f} while they are given first ({test.insertion.random_area:.2f}); "
        f"{round(test.better * test.orders)} of {test.orders} drawn orders do better."
    )
    if test.holds:
        return f"Faithful: {means}", False
    how = "Hardly" if test.gain > 0 and not test.better else "Not"
    return f"{how} better than chance: {means} Do not read anything into these weights.", True


def page(found: Sequence[Explanation], run: str) -> str:
    """Explanations as HTML: the text with its words colored, tables, curves.

    Args:
        found: One or more.
        run: What was explained, for the title.
    """
    parts = [
        f"<style>{STYLE}</style>",
        f"<h1>Which words decided</h1>\n<p class='how'>{escape(run)}. Orange words speak for the "
        "answer, blue ones against it; the number under a word is its weight.</p>",
        *(_one(one) for one in found),
    ]
    return whole(f"Which words decided: {run}", parts)


def _one(found: Explanation) -> str:
    said, warns = faith(found)
    notes = [f"<p>{escape(note)}</p>" for note in found.notes]
    if not found.converged:
        notes.append(
            '<p class="warning">The gradients did not converge: believe the test below, or use '
            "occlusion.</p>"
        )
    rows = [[found.word(word), signed(word.value or 0.0)] for word in found.heaviest[:SHOWN]]
    title = found.answer if found.kind != "text" else "The answer"
    if found.span is not None:
        title = f"{found.text[slice(*found.span)]}: {found.answer}"
    answer = f"<pre>{escape(found.answer)}</pre>" if found.kind == "text" else ""
    parts = [
        answer,
        f'<p class="said">{_colored(found)}</p>',
        f'<p class="{"warning" if warns else "how"}">{escape(said)}</p>',
        *notes,
        _curves(found),
        f"<details><summary>Weights, the heaviest first</summary>"
        f"{table(['word', 'weight'], rows, numbers=1)}</details>",
        _alike(found),
        f'<p class="how">{escape(methods(found))}</p>',
    ]
    return section(title, confidence(found), "\n".join(filter(None, parts)))


def _colored(found: Explanation) -> str:
    most = max((abs(word.value or 0.0) for word in found.words), default=0.0)
    pieces, last = [], 0
    for word in found.words:
        between = found.text[last : word.start]
        pieces.append(escape(between))
        kinds = []
        if word.value is None:
            kinds, small = ["unread"], "not read"
        else:
            step, small = strength(word.value, most), signed(word.value)
            kinds += [f"f{step}" if step > 0 else f"a{-step}"] if step else []
        if found.span and word.start < found.span[1] and word.end > found.span[0]:
            kinds.append("marked")
        own = f' class="{" ".join(kinds)}"' if kinds else ""
        pieces.append(f"<span{own}>{escape(found.word(word))}<small>{small}</small></span>")
        last = word.end
    return "".join([*pieces, escape(found.text[last:])])


def _curves(found: Explanation) -> str:
    test = found.faithfulness
    if test is None:
        return ""
    one = _curve("words taken away", test.deletion), _curve("words given", test.insertion)
    key = (
        "Height: how likely the answer is. Line: the heaviest words first. Dashes: the mean of "
        "drawn orders."
    )
    return f'<div class="row">{"".join(one)}</div><p class="how">{key}</p>'


def _curve(title: str, curve: Curve) -> str:
    """A curve and that of drawn orders, in a box of 240 x 120."""

    def line(heights: Sequence[float], kind: str) -> str:
        most = max(curve.words[-1], 1)
        places = " ".join(
            f"{24 + 208 * word / most:.1f},{108 - 96 * height:.1f}"
            for word, height in zip(curve.words, heights, strict=True)
        )
        return f'<polyline class="{kind}" points="{places}"/>'

    told = f"on average {curve.area:.2f}, in drawn orders {curve.random_area:.2f}"
    texts = [(18, 16, "1", "end"), (18, 111, "0", "end"), (24, 126, title, "start")]
    words = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(said)}</text>'
        for x, y, said, anchor in [*texts, (24, 142, told, "start")]
    )
    return (
        f'<svg class="curve" viewBox="0 0 240 152" role="img" aria-label="{escape(title)}: {told}">'
        f'<path d="M24 12V108H232"/>{line(curve.random, "random")}{line(curve.own, "own")}'
        f"{words}</svg>"
    )


def _alike(found: Explanation) -> str:
    if not found.neighbors:
        return ""
    rows = [[near.text, near.answer, f"{near.likeness:.2f}"] for near in found.neighbors]
    head = ["training rows that resemble it", "answer", "likeness"]
    return table(head, rows, numbers=2)
