"""Stage 7: hand a training over to other tools, or the trained model, and read what they wrote.

One file a tool in `targets/`: its name is what `--to` takes. A trained model is merged (`merging`,
`writers`), and from there written as GGUF (`gguf`) and for Ollama (`ollama`).
"""

from fucina.export.card import card
from fucina.export.handover import Adopted, Bundle, Handover, Meaning, Target
from fucina.export.license import License, license_of
from fucina.export.merging import merge, unpack
from fucina.export.rows import conversations
from fucina.export.settings import as_yaml
from fucina.export.targets import get, names, recognize
from fucina.export.vllm import serve_command
from fucina.export.writers import (
    check_answers,
    check_logits,
    check_prompts,
    check_sources,
    compare_logits,
    standalone,
    sums_of,
    write_folder,
    write_words,
)

__all__ = [
    "Adopted",
    "Bundle",
    "Handover",
    "License",
    "Meaning",
    "Target",
    "as_yaml",
    "card",
    "check_answers",
    "check_logits",
    "check_prompts",
    "check_sources",
    "compare_logits",
    "conversations",
    "get",
    "license_of",
    "merge",
    "names",
    "recognize",
    "serve_command",
    "standalone",
    "sums_of",
    "unpack",
    "write_folder",
    "write_words",
]
