"""One export of a trained model: members picked, written, and held against the run.

One file a kind of model: `writing` for those that write, `heads` for those that label or mark;
`adapters` for the adapters of both, `files` for GGUF and Ollama. `picking` chooses members,
`distilling` trains one of them all, `scoring` says what that costs.
"""

from fucina.shipment.adapters import write_adapter_file, write_adapters
from fucina.shipment.distilling import distilled
from fucina.shipment.files import file_of
from fucina.shipment.heads import write_graphs, write_heads
from fucina.shipment.job import Job, Made
from fucina.shipment.writing import write_text

__all__ = [
    "Job",
    "Made",
    "distilled",
    "file_of",
    "write_adapter_file",
    "write_adapters",
    "write_graphs",
    "write_heads",
    "write_text",
]
