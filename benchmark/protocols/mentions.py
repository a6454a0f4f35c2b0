"""Whether a clause that names an object surely speaks of that object, there or not there.

A rule that knows words but no grammar takes "no animals other than a dog" for a denial of the dog,
and "a dog collar" for a dog. Here stands what makes such a clause unclear: a denial that is itself
denied or has an exception, a name that is part of another thing's or another part of speech, and
what is only wished, owed or struck out. In doubt it is unclear: never the opposite of what is said.
"""

from __future__ import annotations

import re

_MARKS = "✗✘❌✖❎☒🚫⛔👎"
STRUCK = re.compile(f"[{_MARKS}]")
"""With which a tool or a model strikes something out."""
_FALSE = rf"(?:(?:false|incorrect|wrong|untrue)\b|[{_MARKS}])"
REFUSED_YES = re.compile(
    rf"\b(?:yes|yeah|yep|yup)\b[^\w\n{_MARKS}]{{0,6}}(?:(?:is|was|would be) )?{_FALSE}"
    r"|\byes ?[:=] ?0\b|\bno ?[:=] ?(?:false|0)\b"
    rf"|[{_MARKS}][^\w\n]{{0,4}}\b(?:yes|yeah|yep|yup)\b"
)
"""Yes or no, and at once that it is false."""

# --- what stands before the name ----------------------------------------------------------------

_NOT = r"(?:\b(?:not|never|cannot|can't)\b|n't\b)"
_ANY_DENIAL = (
    rf"(?:{_NOT}|\b(?:no|none|no one|no-one|nobody|nothing|neither|nor|hard|hardly|difficult"
    r"|impossible|without)\b)"
)
_DENIED_DENIAL = re.compile(
    rf"{_ANY_DENIAL}[^,]{{0,60}}\b(?:miss|missed|missing|den(?:y|ied|ying|ies)|ignor(?:e|ed|ing)"
    r"|overlook(?:ed|ing)?|disput(?:e|ed|ing)|refut(?:e|ed|ing)|dismiss(?:ed|ing)?|contest(?:ed)?"
    r"|argu(?:e|ing)|mistak(?:e|ing)|lack(?:s|ing)?|shortage|scarcity|absen(?:t|ce)|devoid|free"
    r"|exclud(?:e|ed|ing)|rul(?:e|ed|ing) out|forget|forgotten|neglect(?:ed)?|avoid|help|escap(?:e"
    r"|ed|ing)|hid(?:e|den|ing))\b"
)
_EXCEPTION = (
    r"\b(?:other than|apart from|aside from|except(?:ing)?|save(?: for)?|excluding|barring|minus"
    r"|beyond|than)\b"
)
_BEFORE_NEVER_SURE = re.compile(
    r"\b(?:except(?:ing)?|excluding|barring|minus|other than|save for"
    r"|far from|(?:all|any|anything|anyone|everything|everyone|everybody|every \w{1,20}) but)\b"
    r"|\[ ?\] ?$"
)
"""Whatever else the clause says: "everything except a dog" denies it, "nothing except" does not."""
_EXCEPTION_THAN = re.compile(rf"{_EXCEPTION}|\bbesides?\b")
_WITHOUT = re.compile(r"\bwithout\b(?:\W{1,2}\w{1,20}){0,4}\W{0,2}$|\bwith no $")
_QUANTITY = re.compile(
    r"\b(?:just|only|merely|simply|exactly|precisely|one|two|three|four|five|six|seven|eight|nine"
    r"|ten|both|all|every|each|many|much|more|most|enough|several|other|others|another|further"
    r"|additional|second|third|extra|always|[1-9]\d{0,6})\b"
)
_EXACTLY_NONE = re.compile(r"^(?:and |so )?not (?:even )?(?:a single|one|a) $")
_OF_SOME = re.compile(r"\b(?:none|neither|all|many|one|some|most) of $|\bof (?:the|these|those) $")
_NOT_THAT = re.compile(
    r"\b(?:why|because|how|when|where|who|whom|whose|which|since|to)\b|\w{3}ing (?:an?|the|his|her"
    r"|its|their|any|some|one)\b"
)
_THAT = re.compile(r"\bthat\b")
_OF_THE_MIND = re.compile(
    r"\b(?:think|believe|see|find|appear|true|case|say|notice|evidence|sign|indication|indicate"
    r"|suggest|show|confirm|feel)\b"
)
_THE_ONE = re.compile(r"\b(?:his|her|their|its|my|your|our|the) $")
_SIGN_OF = re.compile(r"\b(?:signs?|traces?|evidence|presence|indications?|hints?) of the $")
_AFTER_NOT = re.compile(
    r"^(?:$|,| (?:$|(?:\w{2,20}ly|actually|even|really|just|an?|any|the|in fact|appear|seem|look|to"
    r"|be|been|being|see|seeing|finding|detecting|noticing|spotting|seen|show|shown|contain|include|have|feature|depict|display|find|found"
    r"|detect|notice|observe|spot|think|believe|there|that|visible|identify|identifiable"
    r"|recogni[sz]e|say|true|the case|able|make|represent|picture|portray|capture|present|say"
    r"|evidence|exist|confirm|discern|perceive|locate|possess|got|mention|indicate|list|one"
    r"|of|is|are)\b))"
)
"""What surely goes on after "not" and "n't" where it is the seeing, or the object, that is denied:
one who is not feeding the dog has one."""
_NOT_AT_END = re.compile(r"(?:n't|\bnot|cannot)$")
_NEVER = re.compile(r"\bnever$")
_PARTITIVE = re.compile(r"\bneither $")
_ONLY_THOUGHT_OF = re.compile(
    r"\b(?:should|must|ought|supposed|meant to|will be|would be|wish|wishes|wished|hopes?|hoped"
    r"|hoping|imagine|imagined|imagining|pretend|pretends|assum(?:e|es|ed|ing)|suppose|guess"
    r"|remember|remind(?:s|ed)?|almost|rarely|seldom|scarcely|needs?|wants?|wanted|add|adding"
    r"|removed?|mistaken|confused?)\b"
)
_ANOTHER_WORD = re.compile(
    r"(?:\w'|\b(?:cannot|can't|couldn't|don't|doesn't|didn't|won't|can|will|could|would|must|he|she"
    r"|they|who|you|we|i|it)\s|(?<!next )(?<!close )"
    r"(?<!due )\bto )$"
    r"|(?<!there )\b(?:is|was|looks?|very|so|bright|pale|dark|deep)(?: very| so| all| bright| pale"
    r"| dark| deep| light| mostly)? $"
)
"""The name as a verb ("to tie"), an adjective ("is orange"), or a part of a word ("o'clock")."""
_BUT_SOME = re.compile(
    r"^ ?,? ?but (?:for )?(?:just |only |the |this |that |a )?(?:one|ones|two|three|four|five|few"
    r"|single|couple|\d{1,4}|this|that|these|those)\b(?: (?:in|on|at|of|is|are|here|there|visible"
    r"|that|which|lies|with)\b|[^\w ]| ?$)"
)

# --- what stands behind it ----------------------------------------------------------------------

_STRUCK_OUT = re.compile(
    rf"^(?: (?:is|are|was|=))?[ ]?[-(:=|>/]{{0,3}} ?(?:{_FALSE}|[\u00d7✕](?!\w))"
    r"|^ ?[-(:=|>/]{1,3} ?(?:no|not|none|nil|null|n/a|0|zero|absent|missing|never|nowhere|negative"
    r"|x|f)\b|^ (?:missing|lacking|absent)\b"
    r"|^ (?:is|are) (?:missing|absent) (?:an?|its|the|one|two|his|her|their|some|most|all)\b"
)
_EXCEPT_AFTER = re.compile(rf"^[^,]{{0,40}}?(?:{_EXCEPTION}|\bbesides\b|\bwithout\b)")
_NO_SUCH = re.compile(
    r"^ (?:is|are|was|were) (?!(?:\w{2,20}ly )?(?:to be |being )?(?:visible|present|there|here|seen"
    r"|shown|found|depicted|pictured|featured|included|detected|observed|captured|displayed"
    r"|anywhere|part|in|apparent|evident|discernible|noticeable)\b)"
)
"""No dog is barking: that there are dogs it does not deny."""
_NOT_A_HEAD = re.compile(
    r" (?!\w{2,6}n't\b"
    r"|(?!\w{0,7}(?:table|cable)\b)\w{3,20}(?:able|ible|ous|less)\b"
    r"|(?:is|are|was|were|be|has|have|had|can|could|may|does|do|did|will"
    r"|and|or|nor|but|of|in|on"
    r"|at|to|by|with|without|within|inside|outside|into|onto|near|next|close|under|beneath|below"
    r"|above|over|behind|beside|besides|before|between|among|amongst|around|across|along|against"
    r"|from|for|as|like|than|through|throughout|toward|towards|up|down|out|off|away|back|about"
    r"|that|which|who|whose|whom|where|when|while|then|so|if|it|this|these|those|there|here|the|an?"
    r"|some|any|no|not|also|too|only|just|even|both|all|each|every|either|together|alone|again|now"
    r"|visible|present|apparent|available|nearby|asleep|awake|outdoors|indoors|anywhere|somewhere"
    r"|elsewhere|seen|shown|found|held|made|set|left|kept|built|worn|driven|caught|lit|spread|hung"
    r"|laid|hidden|taken|drawn|thrown|broken|tied|full|ready|large|small|instead|rather|because"
    r"|since|amid|underneath|atop|per|via|depicted|sits?|stands?|lies?|lays?|rests?|runs?|walks?"
    r"|appears?|seems?|looks?|plays?|rides?|holds?|wears?|eats?|sleeps?|hangs?|flies|fly|waits?"
    r"|faces?|moves?|belongs?|occup(?:y|ies)|stood|sat|lay|ran|exists?|shows?|adds?|comes?|goes?|go"
    r"|takes?|uses?|watches|catches|jumps?|leans?|one|two|three|its|his|her|their"
    r"|yes|other|except|save|aside|apart|neither|i|you|we|they|he|she|true|positive"
    r"|right|left|center|cannot|might|must|should|would|itself|themselves|computers?|suggests?"
    r"|indicates?|provides?|offers?|creates?|contains?|gives?|makes?|includes?|helps?|dominates?"
    r"|represents?|stretch(?:es)?)\b"
    r"|(?!(?:\w{0,9}eed)\b)\w{3,20}ed\b"
    r"|(?!(?:famil|jell|bell|bull|doll|fl|butterfl|lil|assembl|suppl|trolle|tall|rall)\w{0,2}y\b)"
    r"\w{2,20}ly\b"
    r"|(?!(?:painting|drawing|building|clothing|ring|string|wing|king|thing|parking|ceiling|railing"
    r"|grooming|training|lighting|bedding|racing|sling|spring|filling|frosting|topping|dressing"
    r"|seasoning|covering|crossing|awning|siding|flooring|wedding|meeting|evening|morning|swing"
    r"|earring|landing|housing|carving|engraving|etching|print|cushioning|stuffing|padding)\b)"
    r"\w{2,20}ing\b)\w"
)
"""A word behind the name that may be a noun, of which the name only says the kind: "dog bed"."""

_COLOURS = {
    *("orange", "rose", "olive", "lime", "peach", "plum", "lavender", "cherry", "salmon", "coral"),
    *("gold", "silver", "chocolate", "cream", "mint", "violet", "lemon", "apricot", "sand", "rust"),
}
_ONE_OF_IT = re.compile(
    r"\b(?:an?|one|the|this|that|each|every|another|any|no|single|half|sliced|peeled|ripe|whole"
    r"|fresh|of)(?: (?:small|large|big|whole|ripe|fresh|peeled|sliced|single|visible))? $|^ ?$"
)
_AND_A_COLOUR = re.compile(
    r" ?(?:and|or|,|/|-)? ?(?:white|black|red|green|blue|yellow|brown|gr[ae]y|pink|purple|orange"
    r"|tan|beige|in colou?r|colou?r)\b"
)


def unclear(clause: str, named: re.Match[str], denial: re.Match[str] | None) -> bool:
    """Whether it stays open what ``clause`` says of the object named at ``named``, whose last
    ``denial`` stands before the name."""
    before, after = clause[: named.start()], clause[named.end() :]
    if (
        _BEFORE_NEVER_SURE.search(before)
        or _DENIED_DENIAL.search(before)
        or _ONLY_THOUGHT_OF.search(before)
        or _STRUCK_OUT.match(after)
    ):
        return True
    return denial is not None and _denied_otherwise(before, after, denial)


def is_another(text: str, named: re.Match[str]) -> bool:
    """Whether the name is a part of another thing's, or another part of speech."""
    before, name = text[max(0, named.start() - 40) : named.start()], named[0]
    if _NOT_A_HEAD.match(text, named.end()) or _ANOTHER_WORD.search(before):
        return True
    return name in _COLOURS and (
        not _ONE_OF_IT.search(before) or bool(_AND_A_COLOUR.match(text, named.end()))
    )


def says_nothing(text: str, named: re.Match[str]) -> bool:
    """Whether "no" before the name denies another thing, or what the object does."""
    return is_another(text, named) or bool(_NO_SUCH.match(text[named.end() :]))


def with_exception(text: str, named: re.Match[str]) -> bool:
    """Whether "but one" or the like follows the name, wherever a clause may end."""
    return bool(_BUT_SOME.match(text[named.end() : named.end() + 60]))


def _denied_otherwise(before: str, after: str, denial: re.Match[str]) -> bool:
    """Whether what is denied is not, or not surely, the object itself."""
    upto, between = before[: denial.end()], before[denial.end() :]
    if _EXCEPTION_THAN.search(before) or _EXCEPT_AFTER.match(after) or _WITHOUT.search(before):
        return True
    if _NEVER.search(upto) or _OF_SOME.search(before):
        return True
    if _PARTITIVE.search(before) and " nor " not in after:
        return True
    if _QUANTITY.search(between) and not _EXACTLY_NONE.search(before):
        return True
    if _THAT.search(between) and not _OF_THE_MIND.search(between):
        return True
    if _NOT_AT_END.search(upto):
        return not _AFTER_NOT.match(between) or _with_a_verb(between)
    owned = _THE_ONE.search(before) and not _SIGN_OF.search(before)
    return bool(owned or _NO_SUCH.match(after) or _with_a_verb(between))


_SEEING = re.compile(
    r"\b(?:to (?:be|see|contain|include|have|show|feature|depict|display)|able to"
    r"|(?:contain|includ|show|depict|featur|resembl|see|detect|find|notic|spott)ing"
    r" (?:an?|the|any|some|one)"
    r"|(?:any|some|no)thing (?:an?|the))\b"
)


def _with_a_verb(between: str) -> bool:
    return bool(_NOT_THAT.search(_SEEING.sub("", between)))
