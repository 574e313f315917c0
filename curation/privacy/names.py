"""People's names in a text: those that are known, and those that a greeting, an introduction or a farewell gives away.

No tool that works offline finds any other name reliably, so that a reviewer's eye stays the last filter.
Known names come from whoever calls: profiles, customer fields. Refuses words that are names and more often something
else ("Will", "May") unless the whole name stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curation.privacy.spelling import folded, straightened

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_LETTERS = re.compile(r"[^\W\d_]+(?:'m)?")
_HAN = re.compile(r"[\u3400-\u9fff]")
_FEWEST_LETTERS = 3
_FEWEST_HAN = 2

COMMON = frozenset(
    (  # noqa: SIM905 (two hundred quotes would hide the words)
        "will may mark bill hope grace joy rose art frank sunny summer guy max young long page best price day rich "
        "major king love stone wood field green brown white black grey gray little small short strong bank bush "
        "case church cook court cross english fair free good hall hand hill home house law lane lord means noble "
        "park parks parish post read rice ross sharp single star street sweet walker ward west east north south "
        "winter works angel april june august augusti iris olive pearl penny dean chance chase christian faith "
        "hunter jack miles norm pat ray rob sue tab berg bach wolf klein lang gut groß sommer herbst fest stern "
        "vogel fuchs koch weiß schwarz jung neu alt kurz dag liv bo sol tor jan stein glad odd even hell bjørn sand "
        "strand haug vik lund dahl putri dewi indah surya bunga hari bulan bagus budi cahaya bintang mulia reyes "
        "santos cruz bautista luz paz mabini customer support kunde kunden team service office admin bot user guest "
        "agent owner slack test info help assistant manager reviewer pelanggan bruker"
    ).split()
)
"""Words that are no name by themselves, however they are written."""

_NOBODY = frozenset(
    (  # noqa: SIM905 (as above)
        "dr prof mr mrs ms herr frau fru there all team everyone everybody sir madam again support customer service "
        "help folks guys friend you world zusammen leute kundenservice kundendienst kunde kundin damen herren alle "
        "igjen dere kundeservice po sa inyo lahat kayo semua admin kak kakak min gan bapak ibu pak bu tim mas mbak "
        "the a an my this that der die das den ein eine ich wir es hier det dette jeg vi hei hallo hello hi halo "
        "selamat magandang i we it from in at to your our thanks thank danke takk salamat terima kasih please bitte "
        "monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag can "
        "could would is are do yes no good great sure ok okay and or which when where who why what how here so"
    ).split()
)

_ONE = r"[A-ZÀ-ÖØ-ÞĀ-Ž](?![A-Z])[^\W\d_]+(?:['-][^\W\d_]+)*"
_PARTICLE = r"(?:(?:van|von|de|der|den|dela|del|la|bin|binti|al|af|av)[ ]){0,2}"
_NAME = rf"(?P<name>{_ONE}(?:[ ]{_PARTICLE}(?:[A-Z]\.[ ])?{_ONE}){{0,3}}(?:[ ](?:I{{1,3}}|IV|Jr\.?|Sr\.?))?)"
_TITLE = (
    r"(?:(?:mrs?|ms|miss|dr|prof|sir|ma'am|herrn?|frau|hr|fr|fru|ginoong|gng|ginang|binibining|bb|g|pak|bapak|bu|ibu|"
    r"sdr|sdri|kak|mas|mbak|kuya|ate)\.?[ ])"
)
_GREETING = re.compile(
    r"(?m)(?:^|(?<=[.!?][ ]))[ ]*(?i:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo"
    r"|guten (?:tag|morgen|abend)|liebe[r]?|sehr geehrte[r]?|moin|hei|heisann|kjære|god (?:morgen|dag|kveld)"
    r"|kumusta|kamusta|magandang \w+(?: po)?"
    r"|mahal na|halo|hai|selamat (?:pagi|siang|sore|malam)|yth|kepada(?: yth)?)\.?,?[ ]"
    rf"(?i:po,?[ ])?(?i:{_TITLE}){{0,2}}{_NAME}"
)
_TITLED = re.compile(
    rf"(?<![\w])(?:Mrs?\.?|Ms\.?|Dr\.?|Herrn?|Frau|Fru|Pak|Bapak|Bu|Ibu|Ginoong|Gng\.|Ginang|Bb\.)[ ]{_NAME}"
)
_INTRODUCED = re.compile(
    r"(?<!\w)(?i:my name is|this is|i am called|i'm|ich heiße|ich heisse|mein name ist|hier ist|hier spricht|jeg heter|"
    r"mitt navn er|navnet mitt er|dette er|ako (?:po )?si|ang pangalan ko (?:po )?ay|si|nama saya(?: adalah)?|"
    rf"saya bernama|perkenalkan, saya|atas nama|name:|navn:|nama:|pangalan:)[ ](?i:{_TITLE})?{_NAME}"
)
_FAREWELL = re.compile(
    r"(?m)^[ ]*(?i:(?:(?:best|kind|warm) )?regards|best wishes|sincerely(?: yours)?|yours (?:truly|sincerely)|cheers|"
    r"(?:many )?thanks|thank you|mit freundlichen grüßen|mit freundlichem gruß|(?:freundliche|viele|liebe|beste) grüße|"
    r"mfg|lg|danke|(?:med )?vennlig hilsen|(?:beste )?hilsen|mvh|takk|lubos na gumagalang|gumagalang|nagpapasalamat|"
    r"salamat(?: po)?|"
    rf"hormat (?:saya|kami)|salam(?: hormat)?|terima kasih)[,.!]?[ ]*(?:\n[ ]*|(?<=[,])[ ]){_NAME}[ ]*(?=\n|$|[.,]?$)"
)
_HAN_NAME = r"[\u3400-\u9fff]"
_TITLES_HAN = "先生|女士|小姐|老师|经理|太太"
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪"
    "廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤"
)
"""The hundred commonest, of which eighty-five in a hundred people bear one (Ministry of Public Security, 2020)."""
_CHINESE = re.compile(
    rf"(?:(?:我叫|名叫|姓名[是:：]|名字[是叫:：]|我是)(?P<introduced>[{_SURNAMES}]{_HAN_NAME}{{1,2}}(?![\u3400-\u9fff]))"
    rf"|(?:我叫|名叫)(?P<called>{_HAN_NAME}{{2,3}})(?=[，。！,.!\s]|$)"
    rf"|(?P<titled>[{_SURNAMES}]{_HAN_NAME}{{0,2}}?)(?={_TITLES_HAN})"
    rf"|(?:^|(?<=[，。！？,\s]))(?P<addressed>{_HAN_NAME}{{2,3}})(?={_TITLES_HAN})"
    rf"|(?:此致\s*敬礼|祝好|谢谢|敬上)[!！。,，\s]*\n\s*(?P<signed>{_HAN_NAME}{{2,3}})\s*$)"
)
_OPENERS = frozenset(
    (  # noqa: SIM905 (as above)
        "hi hello hey dear good hallo guten lieber liebe sehr moin hei heisann kjære god kumusta kamusta magandang "
        "mahal halo hai selamat yth kepada mr mrs ms dr herr herrn frau fru pak bapak bu ibu ginoong gng ginang bb "
        "name this i'm ich hier jeg mitt navnet navn dette ako pangalan si nama saya perkenalkan atas regards "
        "wishes sincerely yours cheers thanks thank grüßen gruß grüße mfg lg danke hilsen mvh takk gumagalang "
        "nagpapasalamat salamat hormat salam terima i"
    ).split()
)
"""One of these words stands wherever a pattern in Latin letters can match."""
_OPENERS_HAN = ("我叫", "名叫", "姓名", "名字", "我是", *_TITLES_HAN.split("|"), "敬礼", "祝好", "谢谢", "敬上")


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Names to look for, made ready once for many texts.

    Attributes:
        whole: names of several words, in lower case, by their first word.
        words: single words, as they are written, that name somebody.
        han: names in Chinese characters.
        kept: words, in lower case, that are nobody's here, whatever stands before them.
    """

    whole: dict[str, tuple[tuple[str, ...], ...]]
    words: frozenset[str]
    han: tuple[str, ...]
    kept: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether anybody is known."""
        return bool(self.words or self.han or self.whole)


def known(names: Iterable[str], *, but: Iterable[str] = ()) -> KnownNames:
    """Names as profiles and customer fields give them: ``Kari Nordmann`` also stands for ``Kari`` and ``Nordmann``.

    Args:
        names: whatever stands in such a field; ids and addresses among them are passed over.
        but: names of the assistant and its company, which have to stay.
    """
    kept = {word.lower() for name in but for word in _WORD.findall(folded(name))}
    whole: dict[str, set[tuple[str, ...]]] = {}
    words: set[str] = set()
    han: set[str] = set()
    for name in map(folded, names):
        if any(character.isdigit() or character in "@/_" for character in name):
            continue
        if _HAN.search(name):
            compact = "".join(name.split())
            if len(compact) >= _FEWEST_HAN:
                han.add(compact)
            continue
        parts = tuple(part for part in _WORD.findall(name))
        if len(parts) > 1 and not kept.issuperset(part.lower() for part in parts):
            lowered = tuple(part.lower() for part in parts)
            whole.setdefault(lowered[0], set()).add(lowered)
        words |= {
            part
            for part in parts
            if len(part) >= _FEWEST_LETTERS and part.lower() not in COMMON | kept and not part.islower()
        }
    longest_first = {first: tuple(sorted(rest, key=len, reverse=True)) for first, rest in whole.items()}
    return KnownNames(longest_first, frozenset(words), tuple(sorted(han, key=len, reverse=True)), frozenset(kept))


NOBODY = known(())
"""No name is known."""


def find(text: str, names: KnownNames = NOBODY) -> Iterator[tuple[int, int]]:
    """Where names stand, in a text with composed accents; the places may lie over another, the first given counts."""
    text = straightened(text)
    if names:
        yield from mentions(text, names)
    if not _OPENERS.isdisjoint(_LETTERS.findall(text.lower())):
        yield from _given_away(text, names.kept)
    if not text.isascii() and any(opener in text for opener in _OPENERS_HAN):
        for match in _CHINESE.finditer(text):
            group = match.lastgroup
            if group is not None:
                yield match.span(group)


def _given_away(text: str, kept: frozenset[str]) -> Iterator[tuple[int, int]]:
    for pattern in (_GREETING, _TITLED, _INTRODUCED, _FAREWELL):
        for match in pattern.finditer(text):
            start, end = match.span("name")
            words = match["name"].split(" ")
            # "Hi Team", and "Hello Kari The": a sentence that begins with a capital goes on behind the name.
            count = next(
                (at for at, word in enumerate(words) if word[0].isupper() and word.lower() in _NOBODY), len(words)
            )
            if count and not kept.issuperset(word.lower() for word in words[:count]):
                yield start, start + len(" ".join(words[:count])) if count < len(words) else end


def mentions(text: str, names: KnownNames) -> Iterator[tuple[int, int]]:
    """Where these names stand, in a text as ``curation.privacy.spelling.folded`` gives it."""
    for name in names.han:
        start = text.find(name)
        while start >= 0:
            yield start, start + len(name)
            start = text.find(name, start + len(name))
    matches = list(_WORD.finditer(text))
    place = 0
    while place < len(matches):
        match = matches[place]
        taken = 1
        for parts in names.whole.get(match[0].lower(), ()):
            following = tuple(one[0].lower() for one in matches[place : place + len(parts)])
            if following == parts:
                yield match.start(), matches[place + len(parts) - 1].end()
                taken = len(parts)
                break
        else:
            if match[0] in names.words or match[0].removesuffix("'s") in names.words:
                yield match.start(), match.start() + len(match[0].removesuffix("'s"))
        place += taken
