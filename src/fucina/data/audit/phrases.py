"""Phrases in place of an answer, English and Italian: placeholders, machine talk, refusals."""

import re

__all__ = ["MACHINE", "NOTHING", "NO_VALUE", "REFUSAL", "SLOTS", "UNDONE"]


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# All of an answer.
NOTHING = _any(
    r"\W*(?:n/?a|undefined|tbd|todo|fixme|x{3,}|asdf\w*|placeholder|[\W_]*)\W*",
    r"\W*(?:your |insert |the )?(?:answer|text|response) (?:goes )?here\W*",
    r"\W*(?:answer|response|risposta|(?:inserire|inserisci) (?:qui )?(?:la )?risposta)\W*",
    r"\W*da (?:completare|fare|inserire|definire)\W*",
)
NO_VALUE = {"None", "none", "null", "NULL", "nan", "NaN"}  # "None." is a word, this a missing cell

# A part of an answer.
_SLOT = (
    r"(?:first |last |full |company |product |customer )?name|surname|company|date|address|city|"
    r"country|e-?mail|phone(?: number)?|number|product|title|position|amount|price|link|url|nome|"
    r"cognome|(?:nome )?azienda|data|indirizzo|città|telefono|numero|prodotto|importo"
)
SLOTS = _any(
    r"\{\{\s*[^\W\d]\w*(?: \w+)*\s*\}\}",
    r"\[(?:your|insert|enter your|il tuo|la tua|inserire|inserisci)\b[^\]\n]{0,40}\]",
    rf"\[(?:{_SLOT})\]",
    r"<(?:(?:your |full |first |last )?name|nome|cognome)>",
    r"\blorem ipsum\b",
)
# Begins a line, or a mark follows: "grep TODO *.py" is an answer.
UNDONE = re.compile(
    r"^\W*(?:TODO|FIXME|TBD)\b|(?<![/\w])(?:TODO|FIXME|TBD)(?=[:.)\]]|$)", re.MULTILINE
)

MACHINE = _any(
    r"\bas an? (?:ai|artificial intelligence)\b(?: language)?(?: model| assistant)?,? (?:i|my)\b",
    r"\b(?:an?|large) (?:ai )?language model\b",
    r"\b(?:un|grande) modello (?:linguistic|di linguag)",
    r"\bmy (?:knowledge cutoff|training data)\b",
    r"\b(?:come|in quanto|essendo) ?(?:un |una |un')?(?:modello (?:linguistic|di linguag)|"
    r"intelligenza artificiale|assistente virtuale|(?:ia|ai)\b)",
    r"\bsono (?:solo |soltanto |semplicemente )?un(?:'|a )intelligenza artificiale",
)
REFUSAL = _any(
    r"\bi(?:'m| am)(?: very| so)? (?:sorry|afraid),? (?:but )?(?:that )?i "
    r"(?:can't|can ?not|am (?:not able|unable)|don't have)",
    r"\bi (?:can't|can ?not|am unable to|am not able to|won't) "
    r"(?:assist|help (?:you )?with (?:that|this)|fulfill|comply|provide that|engage in)",
    r"\bagainst my (?:programming|guidelines)",
    r"\b(?:mi dispiace|spiacente),? ?(?:ma )?non (?:posso|sono in grado)",
    r"\bnon (?:posso|sono in grado di) "
    r"(?:aiutart|assistert|soddisfare|rispondere a|fornirti|esaudire)",
)
