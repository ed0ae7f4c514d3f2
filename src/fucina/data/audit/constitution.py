"""Answers that break a rule of the recipe's constitution."""

from fucina.data.audit.language import guess
from fucina.data.audit.subject import Subject, answers, brief, shown
from fucina.metrics import broken
from fucina.records import Finding

__all__ = ["check"]


def check(subject: Subject) -> list[Finding]:
    """Judge every answer by every rule that can be computed, each rule for itself."""
    found = []
    for rows in subject.sides if subject.rules else ():
        hits: dict[str, list[tuple[str, str]]] = {rule.name: [] for rule in subject.rules}
        said = [answer for answer in answers(rows) if answer.text.strip()]
        for answer in said:
            for name, evidence in broken(
                subject.rules, answer.question, answer.text, guess_language=guess
            ):
                told = f"{answer.where}{evidence}: {brief(answer.text)}"
                hits[name].append((answer.origin, told))
        for rule in subject.rules:
            if hits[rule.name]:
                origins, told = zip(*hits[rule.name], strict=True)
                why = f" ({rule.why})" if rule.why else ""
                found.append(
                    Finding(
                        "constitution", "warning",
                        f"{len(told):,} of {len(said):,} answers of {rows.name} break the rule "
                        f"{rule.name!r}{why} ({shown(origins)}).",
                        "Write them again, leave them out, or mend the rule.",
                        origins, told,
                    )
                )  # fmt: skip
    words = [rule.name for rule in subject.rules if rule.judge is not None]
    if words:
        found.append(
            Finding(
                "constitution_in_words", "note",
                f"{len(words)} rule(s) in words are for the judge, and are not looked at here: "
                f"{shown(words)}.",
                "fucina train and fucina evaluate ask the judge.",
            )
        )  # fmt: skip
    return found
