"""What proves that an exported model answers as the trained one did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Check", "Proof"]


@dataclass(frozen=True)
class Check:
    """One property of an exported model, held against the trained one.

    Attributes:
        name: What is compared: `prompt tokens`, `logits`, `answers`, `template`, or a score.
        engine: What computed the export's side: `llama.cpp Q8_0`.
        cases: How many rows were compared.
        value: What was measured: a share of equal rows, a largest difference, a score.
        limit: What it is held to; None where it is told and not judged.
        passed: Whether it holds.
        note: What a person should know: which rows differ, or against what the value stands.
    """

    name: str
    engine: str
    cases: int
    value: float
    limit: float | None = None
    passed: bool = True
    note: str = ""


@dataclass(frozen=True)
class Proof:
    """All checks of one export.

    Attributes:
        checks: In the order they were made.
        facts: What was compared: files with their hashes, sizes, versions of the libraries.
    """

    checks: tuple[Check, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all of them hold.

        Example:
            >>> Proof((Check("answers", "onnx", 3, 1.0, 0.99),)).passed
            True
        """
        return all(check.passed for check in self.checks)
