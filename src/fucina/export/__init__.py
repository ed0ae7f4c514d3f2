"""Stage 7: hand over what Fucina knows to other tools, and read what they wrote.

One file a target in `targets/`: its name is what `--to` takes.
"""

from fucina.export.handover import Adopted, Bundle, Handover, Meaning, Target
from fucina.export.rows import conversations
from fucina.export.settings import as_yaml
from fucina.export.targets import get, names, recognize

__all__ = [
    "Adopted",
    "Bundle",
    "Handover",
    "Meaning",
    "Target",
    "as_yaml",
    "conversations",
    "get",
    "names",
    "recognize",
]
