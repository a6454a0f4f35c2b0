"""Yes or no, and the word for a rating, in other languages than English, which models answer in
whatever they were asked in.

Of yes and no only the word itself is read, alone or before a comma: what a sentence says of an
object is read in English only. What follows the comma must not take the word back.
"""

from __future__ import annotations

import re
from typing import Literal

Answer = Literal["yes", "no"]

# ruff: noqa: RUF001 - letters of other alphabets are meant
_YES = (
    r"是的?|有的?|对的?|對的?|存在|正确|正確|はい|ええ|네|예|да|так|ναι|sí|sì|si|oui|ja|jawohl|sim"
    r"|نعم|हाँ|हां|evet|tak|ano|có|ใช่"
)
_NO = (
    r"不是的?|不对|不對|否|没有?|沒有?|不存在|不|无|無|いいえ|いや|아니요|아니오|아뇨|нет|ні|όχι|non|nein"
    r"|nej|nee|nei|não|لا|नहीं|hayır|nie|ne|không|tidak|ไม่"
)
RATING = (
    r"(?:最终|最終|综合|綜合|总体|總體|总)?(?:评分|評分|得分|分数|分數|打分)|評価|평점|점수|оценка"
    r"|bewertung|puntuación|calificación|valutazione|punteggio|évaluation|notation|pontuação|avaliação"
    r"|التقييم|रेटिंग"
)
"""Before a colon and a number; "note", which is English too, is none."""
OR_TO = r"(?:或者?|或是|到|至|または|か|또는|oder|bis|или|до|ou|à|o|hasta|oppure)"
"""Between two ratings, of which neither is then the one."""
_LEADS = re.compile(
    rf"[^\w]{{0,20}}(?:(?P<yes>{_YES})|(?P<no>{_NO}))(?P<rest>(?! ?[\w'])[^\n。.!?]{{0,200}})"
)
_WORD = re.compile(r"\w")
_DENIES = re.compile(
    r"\b(?:no|non|n[aã]o|nicht|keine?n?|pas|nessun[ao]?|ning[uú]n[ao]?|nenhuma?|nada|niente|geen"
    r"|niet|inte|ingen|ikke|не|нет|немає|нема|δεν|nie|není|nejsou|yok|değil|không|tidak)\b"
    r"|[没沒不無无]|ない|ません|없|않|아닙|لا|ليس|नहीं|ไม่"
)


def yes_or_no(plain: str) -> Answer | None:
    """What the first word of a folded text says in another language.

    None for another word, for a yes whose sentence goes on to deny and a no whose sentence does
    not, as each may be meant; and where a later line says the opposite.
    """
    lines = plain.splitlines()
    first = _said(lines[0]) if lines else None
    others = {_said(line) for line in lines[1:]} - {None}
    return None if others - {first} else first


def _said(line: str) -> Answer | None:
    found = _LEADS.match(line)
    if found is None:
        return None
    goes_on, denies = _WORD.search(found["rest"]), _DENIES.search(found["rest"])
    if found["yes"]:
        return None if denies else "yes"
    return "no" if denies or not goes_on else None
