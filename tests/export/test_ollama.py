"""A Modelfile's template writes what the tokenizer's own template writes."""

from pathlib import Path

import pytest

import fucina
from fucina.errors import ModelError
from fucina.export import gguf, go_template, ollama
from fucina.export.turns import as_go, compare, turns_of
from fucina.models.template import CHATML, Template, open_template
from fucina.records import Example, Message

FAVILLA = Path(fucina.__file__).parent / "bases" / "favilla"
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + "
    "'\n\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}"
    "{% endif %}{% for m in rest %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}"
    "\n{{ first if loop.first }}{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
    "{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}"
    "{% endif %}{{ bos_token }}{% for m in rest %}{% if m.role == 'user' %}[INST] "
    "{% if loop.last and system %}{{ system }}\n\n{% endif %}{{ m.content }}[/INST]{% else %} "
    "{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
REFUSING = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
OWN_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
BRACES = (
    "{% for m in messages %}{{ '{{' }}{{ m.role }}{{ '}}' }}{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '{{' }}assistant{{ '}}' }}{% endif %}"
)
TRIMMED = LLAMA3.replace("m.content", "m.content | trim")
FAMILIES = {
    "chatml": (CHATML, ("<s>", "<|im_end|>", "<|im_start|>")),
    "llama 3": (LLAMA3, ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")),
    "gemma": (GEMMA, ("<bos>", "<end_of_turn>", "<start_of_turn>")),
    "mistral": (MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]")),
    "one without a system": (REFUSING, ("<s>", "<|end|>", "<|user|>", "<|assistant|>")),
    "one with a system of its own": (OWN_SYSTEM, ("<s>", "<|im_end|>", "<|im_start|>")),
    "one with braces": (BRACES, ("<s>", "<|end|>")),
}  # fmt: skip


@pytest.fixture
def make_template(decoder_tokenizer):
    """Give a function: Jinja and special tokens → a template with its tokenizer."""

    def make(source, special, system=None):
        return Template(decoder_tokenizer(special), source, "test", system)

    return make


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("begins", [False, True])
def test_ollama_writes_what_the_tokenizer_writes(family, begins, make_template):
    template = make_template(*FAMILIES[family])
    begin = template.tokenizer.bos_token
    begins = begin if begins and template.write([Message("user", "?")]).startswith(begin) else ""
    source = as_go(turns_of(template), begins)
    rows = [Example("Come va?", "Bene."), Example("x = {{ .Content }}", "y")]
    check = compare(source, template, rows, begin_token=begins)
    assert (check.value, check.passed, check.cases) == (1.0, True, 32)
    assert not begins or begin not in source


@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_that_differs_by_a_blank_is_seen(family, make_template):
    template = make_template(*FAMILIES[family])
    source = as_go(turns_of(template))
    for old, new in (("{{ .Content }}", "{{ .Content }} "), ("eq $i 0", "eq $i 1")):
        if old in source:
            assert not compare(source.replace(old, new), template).passed


def test_answers_end_at_special_tokens_that_stand_between_turns(make_template):
    template = make_template(*FAMILIES["llama 3"])
    assert turns_of(template).special == ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages | reverse %}{{ m.role }}{{ m.content }}<|end|>{% endfor %}",
        "{% for m in messages %}<|user|>{{ loop.index }}{{ m.content }}<|end|>{% endfor %}",
        "{% for m in messages %}{{ m.content | upper }}<|end|>{% endfor %}",
        "{% for m in messages %}<|user|>{{ m.content | replace('o', '0') }}<|end|>{% endfor %}",
    ],
    ids=["backwards", "numbered", "in capitals", "changed"],
)
def test_a_template_that_ollama_cannot_write_is_refused(source, make_template, tmp_path):
    template = make_template(source, ("<s>", "<|end|>", "<|user|>"))
    with pytest.raises(ModelError, match="cannot be written as Ollama's") as caught:
        ollama.modelfile(_written(tmp_path), template, max_tokens=9)
    assert "chat.template: chatml" in caught.value.fix


def _written(folder, **how):
    facts = {"template": "", "end": "<|im_end|>", "adds_begin": False, "context": 2048, **how}
    return gguf.Written(folder / "a-q8_0.gguf", "Q8_0", 1, {"Q8_0": 1}, **facts)


@pytest.fixture(scope="module")
def favilla():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(FAVILLA)


def test_the_modelfile_says_all_that_training_used(favilla, tmp_path):
    template = open_template(favilla, system="Rispondi in italiano.\nSii breve.")
    made = ollama.modelfile(_written(tmp_path), template, max_tokens=128, license_text="Apache-2.0")
    path = ollama.write_modelfile(made, tmp_path)
    text = path.read_text("utf-8")
    assert path.name == "Modelfile"
    assert text == (
        "FROM ./a-q8_0.gguf\n"
        f'TEMPLATE """{made.template}"""\n'
        'SYSTEM """Rispondi in italiano.\nSii breve."""\n'
        'PARAMETER stop "<|im_end|>"\n'
        'PARAMETER stop "<|im_start|>"\n'
        "PARAMETER num_ctx 2048\n"
        "PARAMETER num_predict 128\n"
        "PARAMETER temperature 0\n"
        "PARAMETER repeat_penalty 1\n"
        'LICENSE """Apache-2.0"""\n'
    )
    assert made.check.passed
    assert not made.notes


def test_an_adapter_stands_on_its_base(favilla, tmp_path):
    template = open_template(favilla)
    adapter = tmp_path / "mine-lora.gguf"
    made = ollama.modelfile(_written(tmp_path), template, max_tokens=9, adapter=adapter)
    assert made.text.startswith("FROM ./a-q8_0.gguf\nADAPTER ./mine-lora.gguf\nTEMPLATE")
    assert "SYSTEM" not in made.text.replace('"system"', "").partition('"""\n')[2]
    named = ollama.modelfile(
        _written(tmp_path), template, max_tokens=9, adapter=adapter, base="llama3.2:1b"
    )
    assert named.text.startswith("FROM llama3.2:1b\nADAPTER ./mine-lora.gguf\n")


def test_what_a_modelfile_cannot_say_is_refused(favilla, tmp_path):
    for system in ('di\' """ciao"""', 'rispondi "sì" o "no"'):
        template = open_template(favilla, system=system)
        with pytest.raises(ModelError, match="three quotes or ends with one"):
            ollama.modelfile(_written(tmp_path), template, max_tokens=9)


def test_where_ollama_writes_otherwise_is_told(make_template, tmp_path):
    template = make_template(TRIMMED, FAMILIES["llama 3"][1])
    tool = {"type": "function", "function": {"name": "cerca", "parameters": {}}}
    rows = [Example("Cerca", "ok", tools=(tool,))]
    made = ollama.modelfile(_written(tmp_path), template, max_tokens=9, rows=rows)
    assert made.notes == (
        "the tokenizer leaves out blanks around texts; Ollama keeps them",
        "the template for Ollama has no tools",
    )


TURNS = [Message("system", "S"), Message("user", "uno"), Message("user", "due")]


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{ range .Messages }}[{{ .Role }}]{{ end }}", "[system][user]"),
        ("{{ (index .Messages 1).Content }}", "uno\n\ndue"),
        ("a  {{- .System -}}  b", "aSb"),
        ('{{ .System -}}  b  {{- "c" }} {{ .System }}', "Sbc S"),
        ("{{ if .System }}s{{ else }}n{{ end }}", "s"),
        ("{{ if not .System }}s{{ else if eq 1 2 }}x{{ else }}n{{ end }}", "n"),
        ('{{ range $i, $m := .Messages }}{{ if ne $i 0 }}, {{ end }}{{ $m.Role }}{{ end }}', "system, user"),
        ("{{ $n := len .Messages }}{{ $n }}", "2"),
        ("{{ len (slice .Messages 1 2) }}", "1"),
        ('{{ and .System "x" }}{{ or .Response "y" }}', "xy"),
        ('{{ if eq .System "a" "S" }}in{{ end }}', "in"),
        ('{{ "a \\"b\\" {{ c" }}', 'a "b" {{ c'),
    ],
)  # fmt: skip
def test_templates_are_rendered_as_go_does(source, written):
    assert go_template.render(source, TURNS) == written


@pytest.mark.parametrize(
    "source",
    ["{{ .Prompt }}", "{{ printf 1 }}", "{{ if .System }}", "x{{ end }}", "{{ $x }}", "{{ (len 1 }}",
     "{{ .System .System }}"],
)  # fmt: skip
def test_what_is_not_known_of_go_is_an_error(source):
    with pytest.raises(ModelError, match="not known here"):
        go_template.render(source, TURNS)


def test_names_set_in_a_block_end_with_it():
    source = "{{ range .Messages }}{{ $x := .Role }}{{ end }}{{ $x }}"
    with pytest.raises(ModelError, match=r"\$x"):
        go_template.render(source, TURNS)
