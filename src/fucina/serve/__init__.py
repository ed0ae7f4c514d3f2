"""Stage 8: trained models behind HTTP, with rules in their place where they do not answer.

`create_app` makes the application of what `Served` says of each model. A request goes: door (size,
key, log) → path (openai, predicting, operations) → catalog (which model) → station (its queue) →
routing (model, rules, or another endpoint) → reply.
"""

from fucina.serve.interface import Served

__all__ = ["Served"]
