"""The lines of code that answer with an export, for its page; tests run them."""

from typing import Any

__all__ = ["usage"]

READ = """```python
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

folder, texts = "{folder}", ["…"]
facts = json.loads(Path(f"{{folder}}/fucina.json").read_text("utf-8"))
"""

MERGED_LABELS = """from sentence_transformers import SentenceTransformer

scores = SentenceTransformer(folder).encode(texts)[None]
"""

ADAPTER_LABELS = """import torch
from peft import PeftModel
from transformers import AutoModel, AutoTokenizer

members = {members}
words = AutoTokenizer.from_pretrained(folder)
given = words(texts, truncation=True, max_length=facts["max_length_tokens"], padding=True,
              return_tensors="pt")
scores = []
for member in members:
    network = AutoModel.from_pretrained("{base}", dtype=torch.float32)
    network = PeftModel.from_pretrained(network, f"{{folder}}/{{member}}").eval()
    head = load_file(f"{{folder}}/{{member}}/head.safetensors")
    with torch.no_grad():
        states = network(given["input_ids"], attention_mask=given["attention_mask"])[0]
    mask = given["attention_mask"][..., None]
    vectors = {pooled}.float().numpy()
    vectors *= vectors.shape[1] ** 0.5 / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores.append(vectors @ head["weight"].T + head["bias"])
scores = np.stack(scores)
"""

POOLED = {
    "mean": "((states * mask).sum(dim=1) / mask.sum(dim=1))",
    "cls": "states[:, 0]",
    "last": "states[torch.arange(len(states)), mask[..., 0].sum(dim=1) - 1]",
}

NGRAMS = """
from sklearn.feature_extraction.text import CountVectorizer  # n-grams weigh in too

ngrams = json.loads(Path(f"{folder}/lexicon.json").read_text("utf-8"))
counter = CountVectorizer(analyzer="char", ngram_range=(2, 5), vocabulary=ngrams)
rows, tables = counter.transform(texts).astype(float), load_file(f"{folder}/lexical.safetensors")
rows.data = 1 + np.log(rows.data)
for member in facts["lexical"]:
    rarity, weights = tables[f"rarity.{member}"], tables[f"weights.{member}"]
    lengths = np.sqrt(rows.multiply(rows) @ rarity**2)
    lengths[lengths == 0] = 1
    scores[member] += rows @ (rarity[:, None] * weights) / lengths[:, None]
"""

ANSWER = """
odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
odds /= odds.sum(axis=-1, keepdims=True)
{together}
odds **= 1 / facts["temperature"]
answers = [facts["names"][own.argmax()] for own in odds]
sure = odds.max(axis=1) / odds.sum(axis=1)  # below facts["threshold"] it is not to be believed
```"""

TOGETHER = {
    "average": "odds = odds.mean(axis=0)",
    "vote": """votes = (scores == scores.max(axis=-1, keepdims=True)).mean(axis=0)
odds = votes + 1e-6 * odds.mean(axis=0)  # of equal shares the average decides""",
}

TAGS = """```python
from transformers import pipeline

mark = pipeline("token-classification", "{folder}", aggregation_strategy="first")
print(mark("…"))
```"""

ONNX = """```python
from fucina.engines.onnx import open_{what}  # pip install 'fucina[onnx-engine]': no PyTorch

print(open_{what}("{folder}").{verb}(["…"]).answers)
```

Or `fucina serve {folder}`. Alone, `model.onnx` takes `ids` and `mask` (texts x tokens) and gives
`scores` (members x texts x labels; of taggers members x texts x tokens x tags)."""

TEXT = {
    "merged": """```python
from transformers import {kind}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = {kind}.from_pretrained("{folder}")
```""",
    "adapter": """```python
from peft import PeftModel
from transformers import {kind}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = PeftModel.from_pretrained({kind}.from_pretrained("{base}"), "{folder}/{member}")
```""",
    "gguf": """```sh
llama-cli -m {folder}/{file}
fucina serve {folder}/{file}
```""",
    "ollama": """```sh
ollama create {name} -f Modelfile
ollama run {name}
```""",
}


def usage(to: str, facts: dict[str, Any]) -> str:
    """Code in Markdown that answers with an export.

    Args:
        to: The target.
        facts: `kind` of answers (labels, spans or text), `folder`, `name`, `base`, `members` (the
            folders of adapters, empty for the export's own), and where they are such: `pooling`,
            `ngrams`, `how` members answer together, `types`, `halves`, `file`.
    """
    kind, folder = facts["kind"], facts["folder"]
    if to == "onnx":
        what, verb = ("labeller", "label") if kind == "labels" else ("marker", "mark")
        return ONNX.format(what=what, verb=verb, folder=folder)
    if kind == "text":
        return TEXT[to].format(
            kind="AutoModelForSeq2SeqLM" if facts["halves"] else "AutoModelForCausalLM",
            folder=folder, name=facts["name"], base=facts["base"], file=facts["file"],
            member=facts["members"][0],
        )  # fmt: skip
    if kind == "spans" and to == "merged":
        return TAGS.format(folder=folder)
    if kind == "spans":
        return (
            "Each adapter is one of PEFT, and `head.safetensors` beside it scores the states of "
            f"the tokens (`states @ weight.T + bias`): the tags O, B- and I- of {facts['types']}. "
            "Of several the probabilities are averaged."
        )
    read = READ.format(folder=folder)
    middle = MERGED_LABELS
    if to == "adapter":
        middle = ADAPTER_LABELS.format(
            members=list(facts["members"]), base=facts["base"], pooled=POOLED[facts["pooling"]]
        )
    answer = ANSWER.replace("{together}", TOGETHER[facts["how"]])
    return read + middle + (NGRAMS if facts["ngrams"] else "") + answer
