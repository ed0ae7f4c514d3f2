"""Stage 1: read any labelled file into examples, and say what is wrong with them."""

from fucina.data.admission import Admission, HeldOut, presentable
from fucina.data.audit import Subject, audit, gate, raise_errors
from fucina.data.audit.language import guess
from fucina.data.audit.quality import Quality, quality
from fucina.data.cases import load_cases
from fucina.data.columns import to_columns
from fucina.data.constitution import load_constitution
from fucina.data.known import Known
from fucina.data.load import load
from fucina.data.repair import repair
from fucina.data.rows import SUFFIXES, read_as
from fucina.data.similar import group_similar
from fucina.data.written import to_messages, to_rows

__all__ = [
    "SUFFIXES",
    "Admission",
    "HeldOut",
    "Known",
    "Quality",
    "Subject",
    "audit",
    "gate",
    "group_similar",
    "guess",
    "load",
    "load_cases",
    "load_constitution",
    "presentable",
    "quality",
    "raise_errors",
    "read_as",
    "repair",
    "to_columns",
    "to_messages",
    "to_rows",
]
