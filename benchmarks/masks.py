"""Are the tokens that we learn those that TRL and Axolotl learn of the same conversations?

    python benchmarks/masks.py [--trl FOLDER] [--axolotl FOLDER] [--differences]

FOLDER is a place into which `pip install --no-deps --target FOLDER trl` (or axolotl, with colorama, addict, datasets
and what it imports) put the library; without one, what is installed is asked. Conversations: the sample of the task
chat, and five more with tools, several systems' words and answers of one letter. Templates: of TRL every template that
it ships in a form for training (the plain form for us, theirs marks the assistant's words); of Axolotl every template
that it ships. The tokenizer is the same on both sides, made of bytes and of the special words of the template.

Compared are the pieces of text that are learnt, after one another, end token included, but for white space at their
edges; the ids too. Where a template refuses a conversation on either side, it is counted apart.
"""

import argparse
import importlib.util
import json
import logging
import re
import sys
import warnings
from collections import Counter
from itertools import groupby
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fucina.data.conversations import turns
from fucina.models.template import open_template
from fucina.records import Example, Message

SAMPLE = Path(__file__).parents[1] / "src/fucina/tasks/chat/sample.jsonl"
SPECIAL = re.compile(
    r"<\|[\w▁]+\|>|<｜[^>｜]{1,40}｜>|<(?:start_of_turn|end_of_turn|end_of_utterance|turn\||\|turn|s|/s)>|\[\|\w+\|\]|\[/?[A-Z_]+\]"
)
ENDS = (
    "<|im_end|>", "<end_of_turn>", "<end_of_utterance>", "<|eot_id|>", "<|eot|>", "<|end|>", "<turn|>", "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>", "<|return|>", "[|endofturn|]", "</s>", "<|endoftext|>",
)  # fmt: skip
EMPTY_THOUGHT = re.compile(r"^\s*<think>\s*</think>\s*")
ROLES = {"user": ["user"], "assistant": ["assistant"], "system": ["system"], "tool": ["tool"]}
METEO = {"name": "meteo", "description": "Il tempo che fa.",
         "parameters": {"type": "object", "properties": {"luogo": {"type": "string"}}}}  # fmt: skip
CALL = {"type": "function", "id": "call00100",
        "function": {"name": "meteo", "arguments": {"luogo": "Livorno"}}}  # fmt: skip


def conversations():
    """Examples: the sample's, and five by hand."""
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    told = [turns(row, "messages", "") for row in rows if "tools" not in row]
    short = [("user", "Sì?"), ("assistant", "A"), ("user", "A"), ("assistant", "Sì?")]
    asked = [("system", "Sei Nerina."), ("user", "Com'è il mare?"), ("assistant", "Grosso.")]
    more = [("user", "E domani?"), ("assistant", "Domani cala.\n\nPerché gira.")]
    said = [[Message(*turn) for turn in talk] for talk in (short, asked, asked + more, more)]
    tool = [
        Message("user", "Che tempo fa?"), Message("assistant", "", (CALL,)),
        Message("tool", '{"onde": 2}', name="meteo"), Message("assistant", "Due metri d'onda."),
    ]  # fmt: skip
    rows = [Example.of_conversation(talk) for talk in (*told, *said)]
    return [*rows, Example.of_conversation(tool, tools=({"type": "function", "function": METEO},))]


def tokenizer_of(source):
    special = sorted(set(SPECIAL.findall(source)))
    end = next((token for token in ENDS if token in special), "<eos>")
    special = sorted({*special, end, "<bos>"})
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        ["ciao come stai"],
        trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=letters, show_progress=False),
    )  # fmt: skip
    others = [token for token in special if token not in ("<bos>", end)]
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<bos>", eos_token=end, additional_special_tokens=others
    )


def plain(example):
    """Turns as dictionaries, as both libraries take them."""
    told = []
    for turn in example.messages:
        one = {"role": turn.role, "content": turn.content}
        if turn.tool_calls:
            one["tool_calls"] = list(turn.tool_calls)
        if turn.role == "tool":
            one |= {"name": turn.name, "tool_call_id": CALL["id"]}
        told.append(one)
    return told


def pieces(tokenizer, ids, learnt):
    """What is learnt, as text, one piece after another."""
    found = []
    for taken, run in groupby(zip(ids, learnt, strict=True), key=lambda pair: bool(pair[1])):
        if taken:
            found.append(tokenizer.decode([number for number, _ in run]))
    return found


def ours(tokenizer, source, example):
    tokenizer.chat_template = source
    rendered = open_template(tokenizer).render(example)
    return rendered.ids.tolist(), rendered.supervised.tolist()


def trl_pairs(folder):
    place = folder or Path(importlib.util.find_spec("trl").origin).parents[1]
    for marked in sorted((place / "trl/chat_templates").glob("*_training.jinja")):
        source = marked.with_name(marked.name.replace("_training", ""))
        if source.exists():
            yield source.stem, source.read_text("utf-8"), marked.read_text("utf-8")


def trl(tokenizer, marked, example):
    made = tokenizer.apply_chat_template(
        plain(example), chat_template=marked, tools=list(example.tools) or None, tokenize=True,
        return_dict=True, return_assistant_tokens_mask=True, enable_thinking=False,
    )  # fmt: skip
    return made["input_ids"], made["assistant_masks"]


def axolotl_templates(folder):
    place = folder or Path(importlib.util.find_spec("axolotl").origin).parents[1]
    for source in sorted((place / "axolotl/utils/chat_templates/templates").glob("*.jinja")):
        text = source.read_text("utf-8")
        yield source.stem, text, text


def axolotl(tokenizer, source, example):
    """Its defaults: the assistant's turns, and the end token of each."""
    from axolotl.prompt_strategies.chat_template import ChatTemplatePrompter, ChatTemplateStrategy

    prompter = ChatTemplatePrompter(
        tokenizer, chat_template=source, roles=ROLES, max_length=4096,
        message_property_mappings={"role": "role", "content": "content"},
        chat_template_kwargs={"enable_thinking": False},
    )  # fmt: skip
    strategy = ChatTemplateStrategy(
        prompter, tokenizer=tokenizer, train_on_inputs=False, sequence_len=4096,
        roles_to_train=["assistant"], train_on_eos="turn",
    )  # fmt: skip
    row = {"messages": plain(example)}
    if example.tools:
        row["tools"] = list(example.tools)
    made = strategy.tokenize_prompt(row)
    return made["input_ids"], [label != -100 for label in made["labels"]]


def outcome(tokenizer, source, theirs, example):
    """How both compare, and both sides for people."""
    try:
        mine = ours(tokenizer, source, example)
    except Exception as error:
        mine = error
    try:
        other = theirs(example)
    except Exception as error:
        other = error
    refused = [isinstance(side, Exception) for side in (mine, other)]
    if any(refused):
        kind = {(True, True): "both refuse", (True, False): "we refuse"}.get(
            tuple(refused), "they refuse"
        )
        return kind, mine, other
    told = [pieces(tokenizer, *side) for side in (mine, other)]
    if list(mine[0]) == list(other[0]) and [*map(bool, mine[1])] == [*map(bool, other[1])]:
        return "equal", *told
    bare = [[EMPTY_THOUGHT.sub("", piece).strip() for piece in side] for side in told]
    if [piece.strip() for piece in told[0]] == [piece.strip() for piece in told[1]]:
        return "equal but for white space", *told
    if bare[0] == bare[1]:
        return "equal but for an empty thought", *told
    return "different", *told


def compare(library, templates, learn, examples, options):
    print(f"\n{library}: {len(examples)} conversations")
    kinds = Counter()
    for name, source, theirs in templates:
        tokenizer = tokenizer_of(source + theirs)
        found = Counter()
        first = None
        for example in examples:
            kind, mine, other = outcome(
                tokenizer, source, lambda row, t=tokenizer, s=theirs: learn(t, s, row), example
            )
            found[kind] += 1
            if "equal" not in kind and first is None:
                first = mine, other
        kinds += found
        print(f"  {name:24} {', '.join(f'{kind} {count}' for kind, count in found.most_common())}")
        if first and options.differences:
            print(f"      ours   {first[0]!r:.300}\n      theirs {first[1]!r:.300}")
    print(f"  {'all':24} {', '.join(f'{kind} {count}' for kind, count in kinds.most_common())}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trl", type=Path)
    parser.add_argument("--axolotl", type=Path)
    parser.add_argument(
        "--differences", action="store_true", help="show the first of each template"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    examples = conversations()
    if options.trl or importlib.util.find_spec("trl"):
        compare("TRL", trl_pairs(options.trl), trl, examples, options)
    if options.axolotl:
        sys.path.insert(0, str(options.axolotl))
    if importlib.util.find_spec("axolotl"):
        compare("Axolotl", axolotl_templates(options.axolotl), axolotl, examples, options)


if __name__ == "__main__":
    main()
