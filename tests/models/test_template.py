"""What is learnt of a conversation is what the assistant says, and the token that ends it."""

from dataclasses import replace

import pytest

from fucina.errors import DataError, ModelError
from fucina.models.template import open_template
from fucina.records import Example, Message

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# In the manner of Gemma: the assistant is "model", texts are stripped, no turn of the system.
STRICT = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    "{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "<start>{{ role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<start>model\n{% endif %}"
)
# In the manner of Mistral: no header before an answer, a space after the brackets.
BRACKETS = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
# In the manner of Qwen3: the last answer has an empty thought before it, earlier ones do not, and
# tool calls follow the text.
THINKING = (
    "{% set last = namespace(user=0) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set last.user = loop.index0 %}{% endif %}"
    "{% endfor %}"
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}"
    "{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% if loop.index0 > last.user %}<think>\n\n</think>\n\n{% endif %}{{ m.content.strip() }}"
    "{% for call in m.tool_calls or [] %}"
    "{% if m.content or not loop.first %}\n{% endif %}<tool_call>\n"
    "{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}\n"
    "</tool_call>{% endfor %}<|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
# In the manner of Llama 3.1: a turn that calls has no text.
CALLS_ALONE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.tool_calls %}{{ m.tool_calls[0].function | tojson }}{% else %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# In the manner of Llama 4: something stands before the text of a turn that calls.
OPENED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.tool_calls %}<|begin|>{{ m.content }}{{ m.tool_calls[0].function | tojson }}"
    "{% else %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TURNS = [
    Message("system", "Sei Nerina, guardiana del faro."),
    Message("user", "Com'è il mare?"),
    Message("assistant", "Grosso."),
    Message("user", "E domani?"),
    Message("assistant", "Domani cala, perché gira a libeccio."),
]


@pytest.fixture
def open_with(decoder_tokenizer):
    """Give a function: template text → opened template."""

    def make(source=None, **options):
        tokenizer = decoder_tokenizer()
        tokenizer.chat_template = source
        return open_template(tokenizer, **options)

    return make


def _learnt(template, rendered):
    """The learnt parts of a text, by runs of tokens."""
    parts, before = [], False
    for number, learnt in zip(rendered.ids.tolist(), rendered.supervised, strict=True):
        if learnt:
            parts = [*parts, []] if not before else parts
            parts[-1].append(number)
        before = learnt
    return [template.tokenizer.decode(part) for part in parts]


@pytest.mark.parametrize(("source", "end"), [
    (CHAT, "<|im_end|>"), (STRICT, "<|im_end|>"), (BRACKETS, "<|end|>"), (THINKING, "<|im_end|>"),
    (None, "<|im_end|>"),
], ids=["chatml", "strict", "brackets", "thinking", "default"])  # fmt: skip
def test_all_answers_are_learnt_with_their_end_and_nothing_else(source, end, open_with):
    template = open_with(source)
    assert template.end == end
    rendered = template.render(Example.of_conversation(TURNS))
    space = " " if source == BRACKETS else ""
    assert _learnt(template, rendered) == [
        f"{space}Grosso.{end}", f"{space}Domani cala, perché gira a libeccio.{end}"
    ]  # fmt: skip
    assert "guardiana del faro" in rendered.text


def test_the_last_answer_is_ended_where_the_template_ends_only_earlier_ones(open_with):
    """GLM's template: what ends an answer is the token that opens the next turn."""
    source = (
        "{% for m in messages %}{% if m.role == 'user' %}<|im_end|>\n{{ m.content }}{% else %}"
        "<|im_start|>\n{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>\n{% endif %}"
    )
    template = open_with(source)
    rendered = template.render(Example.of_conversation(TURNS[1:]))
    assert rendered.end_added
    assert _learnt(template, rendered) == [
        "Grosso.<|im_end|>", "Domani cala, perché gira a libeccio.<|im_end|>"
    ]  # fmt: skip
    assert len(rendered.ids) == len(rendered.supervised)


@pytest.mark.parametrize("source", [CHAT, STRICT, BRACKETS, THINKING, None])
def test_what_is_given_at_use_is_how_the_row_began(source, open_with):
    template = open_with(source)
    row = Example.of_conversation(TURNS)
    asked, rendered = template.asked(row), template.render(row)
    assert rendered.ids[: len(asked)].tolist() == asked.tolist()
    assert rendered.supervised[len(asked) :][0]


def test_only_the_last_turn_is_learnt_on_request(open_with):
    template = open_with(CHAT, supervise="last")
    rendered = template.render(Example.of_conversation(TURNS))
    assert _learnt(template, rendered) == ["Domani cala, perché gira a libeccio.<|im_end|>"]


@pytest.mark.parametrize("source", [CHAT, STRICT, BRACKETS, THINKING, None])
def test_a_turn_that_its_row_excludes_is_read_and_not_learnt(source, open_with):
    template = open_with(source)
    excluded = [replace(turn, learnt=turn.content != "Grosso.") for turn in TURNS]
    rendered = template.render(Example.of_conversation(excluded))
    whole = template.render(Example.of_conversation(TURNS))
    assert rendered.ids.tolist() == whole.ids.tolist()
    assert _learnt(template, rendered) == _learnt(template, whole)[1:]


@pytest.mark.parametrize(("source", "begins", "ends"), [
    (THINKING, "<tool_call>", "</tool_call><|im_end|>"), (CALLS_ALONE, '{"name"', "}<|im_end|>"),
    (None, "<tool_call>", "</tool_call><|im_end|>"), (OPENED, "<|begin|>{", "}<|im_end|>"),
])  # fmt: skip
def test_tool_calls_are_learnt_and_their_answers_are_not(source, begins, ends, open_with):
    call = {"type": "function", "function": {"name": "mare", "arguments": {"quando": "domani"}}}
    turns = [
        Message("user", "Com'è il mare domani?"),
        Message("assistant", "", (call,)),
        Message("tool", '{"onde": 2}', name="mare"),
        Message("assistant", "Due metri d'onda."),
    ]
    tools = [{"type": "function", "function": {"name": "mare", "parameters": {}}}]
    template = open_with(source)
    first, second = _learnt(template, template.render(Example.of_conversation(turns, tools=tools)))
    assert first.startswith(begins)
    assert '"quando": "domani"' in first
    assert first.endswith(ends)
    assert second == "Due metri d'onda.<|im_end|>"


def test_a_template_that_writes_no_calls_would_teach_to_say_nothing(open_with):
    call = {"type": "function", "function": {"name": "mare", "arguments": {}}}
    turns = [*TURNS[:2], Message("assistant", "", (call,)), *TURNS[1:3]]
    with pytest.raises(DataError, match="does not write the call of 'mare' in turn 3") as caught:
        open_with(CHAT).render(Example.of_conversation(turns))
    assert "chat.template: chatml" in caught.value.fix


@pytest.mark.parametrize("system", [True, False])
def test_chatml_lists_tools_where_the_system_speaks(system, open_with):
    tools = [{"type": "function", "function": {"name": "mare", "description": "Com'è, più o meno"}}]
    turns = TURNS if system else TURNS[1:]
    template = open_with()
    rendered = template.render(Example.of_conversation(turns, tools=tools))
    first = rendered.text.partition("<|im_end|>")[0]
    assert first.startswith("<|im_start|>system\n")
    assert ("guardiana del faro.\n\n" in first) == system
    assert '"description": "Com\'è, più o meno"' in first
    assert rendered.text.count("guardiana") == system
    assert rendered.text.count("<|im_start|>system") == 1
    assert _learnt(template, rendered) == [f"{turns[i].content}<|im_end|>" for i in (-3, -1)]


def test_an_answer_closed_by_several_special_tokens_is_learnt_up_to_the_end(open_with):
    """Cohere's newer templates: the response ends, then the turn; writing stops at the second."""
    source = CHAT.replace("{{ m.content }}", "{{ m.content }}<|begin|>").replace(
        "<|im_end|>", "{{ eos_token }}"
    )
    template = open_with(source)
    assert template.end == "<|end|>"
    assert _learnt(template, template.render(Example.of_conversation(TURNS[1:3]))) == [
        "Grosso.<|begin|><|end|>"
    ]


# In the manner of gpt-oss: a call ends with a token of its own, and what follows it is not learnt.
CALLING = (
    "{% for m in messages %}"
    "{% if m.tool_calls %}<|im_start|>assistant to={{ m.tool_calls[0].function.name }}\n"
    "{{ m.content }}{{ m.tool_calls[0].function.arguments | tojson }}<|begin|>"
    "{% elif m.role == 'tool' %}<|im_start|>tool\n{{ m.content }}<|im_end|>"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)
# In the manner of DeepSeek: arguments are joined as text.
JOINING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}"
    "{{ call.function.name + ' ' + call.function.arguments }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(("source", "learnt"), [
    (CALLING, 'to=mare\n{"quando": "domani"}<|begin|>'), (JOINING, 'mare {"quando": "domani"}<|im_end|>'),
])  # fmt: skip
def test_what_a_tool_answers_is_never_learnt(source, learnt, open_with):
    call = {"type": "function", "function": {"name": "mare", "arguments": {"quando": "domani"}}}
    turns = [
        Message("user", "Com'è il mare domani?"), Message("assistant", "", (call,)),
        Message("tool", "due metri", name="mare"), Message("assistant", "Due metri d'onda."),
    ]  # fmt: skip
    template = open_with(source)
    first, second = _learnt(template, template.render(Example.of_conversation(turns)))
    assert first.strip() == learnt
    assert "due metri" not in first
    assert second.strip() == "Due metri d'onda.<|im_end|>"


def test_the_recipes_system_turn_stands_where_a_row_has_none(open_with):
    template = open_with(CHAT, system="Rispondi in italiano.")
    own = template.render(Example.of_conversation(TURNS)).text
    other = template.render(Example.of_conversation(TURNS[1:])).text
    assert "Rispondi" not in own
    assert other.startswith("<|im_start|>system\nRispondi in italiano.")


def test_an_answer_that_repeats_the_question_is_found_in_its_own_place(open_with):
    turns = [Message("user", "sì"), Message("assistant", "sì"), Message("user", "sì"),
             Message("assistant", "sì")]  # fmt: skip
    template = open_with(CHAT)
    rendered = template.render(Example.of_conversation(turns))
    assert _learnt(template, rendered) == ["sì<|im_end|>", "sì<|im_end|>"]
    assert rendered.text.count("user") == 2


@pytest.mark.parametrize(("source", "problem"), [
    ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "no special token"),
    ("{% for m in messages %}{{ m.content", "cannot write"),
    ("{{ raise_exception('never') }}", "cannot write"),
])  # fmt: skip
def test_a_template_that_cannot_serve_is_refused_at_once(source, problem, open_with):
    with pytest.raises(ModelError, match=problem) as caught:
        open_with(source)
    assert "chat.template" in caught.value.fix


def test_a_tokenizer_without_template_and_end_token_is_refused(decoder_tokenizer):
    with pytest.raises(ModelError, match="neither"):
        open_template(decoder_tokenizer(special=()))


def test_a_template_file_that_is_missing_is_named(decoder_tokenizer, tmp_path):
    with pytest.raises(ModelError, match=r"mio\.jinja"):
        open_template(decoder_tokenizer(), "mio.jinja", root=tmp_path)


def test_turns_that_a_template_refuses_say_so(open_with):
    template = open_with(
        "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
        "{{ m.content }}<|im_end|>{% endfor %}"
    )
    turns = [Message("user", "a"), Message("tool", "b"), Message("assistant", "c")]
    with pytest.raises(DataError, match="no tools"):
        template.render(Example.of_conversation(turns))


def test_control_tokens_in_a_text_are_seen(open_with):
    template = open_with(CHAT)
    assert template.control_tokens("chiudi con <|im_end|> e basta") == ["<|im_end|>"]
    assert template.control_tokens("chiudi e basta") == []
