"""Runs of digits in a text: which are cards, bank accounts, national ids, addresses or telephones, and which are not.

Owns the order in which a run is tried and the words that say what a number is. An order number, a version, a date or
a price is nobody's; a number that says of itself that it is one is left alone.
Sources: ISO/IEC 7812 (cards, and Luhn's digit), ISO 13616 (IBAN), RFC 4291 (IPv6), python-stdnum for check digits.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from ipaddress import AddressValueError, IPv6Address
from operator import itemgetter

from phonenumbers import SUPPORTED_REGIONS
from stdnum import ean, iban, luhn, numdb
from stdnum.de import idnr
from stdnum.id import nik
from stdnum.iso7064 import mod_11_2, mod_97_10
from stdnum.no import fodselsnummer

from curation.privacy.phones import EXTENSION, Plan, is_phone
from curation.privacy.spans import Kind

Found = tuple[Kind, int, int]
_starts = itemgetter(1)

_RUN = re.compile(r"(?<![A-Za-z0-9_])\+?\(?\+?[0-9](?:[ \u00a0().\-–/]{0,3}[0-9]){5,}[Xx]?")
_CONTINUES = re.compile(r"[/#@_]$|[A-Za-z0-9][-.,]$|[0-9]:$")
_GROUP = re.compile(r"[0-9]+")
_DATE = re.compile(
    r"(?<![0-9])(?:(?:19|20)[0-9]{2}([-./ ]?)(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])"
    r"(?:([-./])(?:0?[1-9]|1[0-2])\2[0-9]{2}(?:[0-9]{2})?| (?:0?[1-9]|1[0-2]) (?:19|20)[0-9]{2})"
    r"|(?:0?[1-9]|1[0-2])([-/])(?:0?[1-9]|[12][0-9]|3[01])\3(?:19|20)?[0-9]{2})(?![0-9])"
)
_YEARS = re.compile(r"(?:19|20)[0-9]{2} ?[-–/] ?(?:19|20)[0-9]{2}")
_IPV4 = re.compile(
    r"(?<![A-Za-z0-9_.\-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\.?[0-9]|[A-Za-z_\-])"
)
_IPV6 = re.compile(r"(?<![A-Za-z0-9_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![A-Za-z0-9_:])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}")
_CARD = re.compile(r"[0-9](?:[ -]?[0-9]){11,18}")
_GROUPED_CARD = re.compile(r"[0-9]{4}([ -])(?:[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,4}){1,2}|[0-9]{6}\1[0-9]{4,5})")
_SSN = re.compile(r"(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}")

# The first digits that card networks issue under, and the lengths they issue.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11,16}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d{2})\d{12,15}"  # Discover
    r"|(?:35\d{14,17}|(?:2131|1800)\d{11})"  # JCB
    r"|(?:62|81)\d{14,17}"  # UnionPay
    r"|(?:50\d{2}|5[6-9]\d{2}|6[0-9]\d{2}|0604)\d{8,15}"  # Maestro
    r"|220[0-4]\d{12,15}"  # Mir
)

_NEAR = 40
_LABEL = re.compile(
    r"(?P<other>\b(?:order|ordre|bestell|auftrag|rechnung|invoice|faktura|kunden|customer (?:no|num|id)|kundenummer"
    r"|ticket|case|sak|ref|serial|serie|seri\b|track|send(?:ung|ing)|spor|sku|artik|product|produ[ck]t|item|model|part\b"
    r"|part |batch|lot\b|account|konto|contract|vertrag|avtale|voucher|coupon|gutschein|kode|code|version|versjon"
    r"|versi|bersyon|v\.|build|firmware|release|utgave|pesanan|faktur|resi|tiket|pelanggan|resibo|orden|numero ng"
    r"|isbn|ean|barcode|strekkode|transaction|transaksi|reservation|booking|buchung|id\b|nr\. av|vare|§|section"
    r"|abschnitt|chapter|kapitt?el|kabanata|seksyon|bagian|bab\b|paket|package|parcel|lisens|license|lizenz|imei|zip|postal|plz)"
    r"|订单|单号|编号|工单|发票|序列|型号|版本|账号|运单|快递|物流|条码|商品|货号|批号|固件|会员号|#)"
    r"|(?P<phone>\b(?:phone|tel|mobil|cell|handy|call|ring\b|ringe|anruf|erreich|tlf|hp\b|wa\b|whatsapp|hubungi"
    r"|tawag|tumawag|itawag|selpon|cp\b|fax|sms|text me|dial|reach"
    r"|my number|meine nummer|nummeret mitt|nomor saya|numero ko)|fon\b|phone|电话|手机|致电|联系|拨打|来电|号码是)",
    re.IGNORECASE,
)
# Not after "Nr." and "Tel.", behind which the number follows.
_SENTENCE_END = re.compile(r"[^\W\d_]{3}(?<!nr)(?<!no)(?<!tel)(?<!tlf)(?<!Tel)(?<!Tlf)[.!?] |[。！？\n]")
_VERSION = re.compile(
    r"(?:\bv\.?[ ]?$|\br?v:$|[A-Za-z]/$"
    r"|(?:vers(?:ion|jon|i)|bersyon|build|firmware|release|utgave|§|section|abschnitt|chapter|kapit|kabanata|seksyon"
    r"|\bbab|bagian|版本|固件|第)[^\d\n]{0,12}$)",
    re.IGNORECASE,
)
_MONEY_BEFORE = re.compile(
    r"(?:[$€£¥₱￥]|\b(?:kr|nok|usd|eur|php|rp|idr|rmb|cny|sek|dkk)\.?)[ \u00a0]?$", re.IGNORECASE
)
_MONEY_AFTER = re.compile(
    r"[ \u00a0]?(?:[$€£¥₱元块]|,-|,[0-9]|(?:kr|nok|usd|eur|php|pesos?|piso|rupiah|rmb|cny|kroner|euro|dollars?)\b)",
    re.IGNORECASE,
)
_NOBODYS_IP = re.compile(
    r"0\.0\.0\.0|127\.0\.0\.1|255\.255\.\d+\.\d+|192\.0\.2\.\d+|198\.51\.100\.\d+|203\.0\.113\.\d+"  # RFC 5737
)
_NOBODYS_PHONE = re.compile(r"1?[2-9]\d\d55501\d\d")
"""Numbers that are reserved for fiction: surrogates are made of them, so that they are not found again."""

_SHORTEST = 7
_ARTICLE = 13
_INDONESIAN, _CHINESE = 16, 18


def find(text: str, known: Sequence[Plan]) -> Iterator[Found]:
    """Every number that is somebody's. Spans of different kinds may lie over another; the first given counts."""
    addresses: list[Found] = []
    if text.count(":") > 1:
        yield from _ipv6(text)
    if text.count(".") > 2:  # noqa: PLR2004 (an address has three)
        addresses = list(_ipv4(text))
        yield from addresses
    yield from _ibans(text)
    for match in _RUN.finditer(text):
        yield from _run(text, match.start(), match.end(), known, addresses)


def _run(text: str, start: int, end: int, known: Sequence[Plan], addresses: Sequence[Found]) -> Iterator[Found]:
    """A run of digits, dates and addresses cut out of it: groups together, the longest row of them first."""
    before = text[max(0, start - 2) : start]
    if _CONTINUES.search(before):
        return
    cut = start
    others = [match.span() for pattern in (_DATE, _YEARS) for match in pattern.finditer(text, start, end)]
    inside = bisect_left(addresses, start, key=_starts), bisect_left(addresses, end, key=_starts)
    others += [(first, last) for _, first, last in addresses[slice(*inside)]]
    for first, last in sorted(others):
        yield from _groups(text, cut, first, known)
        cut = max(cut, last)
    yield from _groups(text, cut, end, known)


def _groups(text: str, start: int, end: int, known: Sequence[Plan]) -> Iterator[Found]:
    groups = [match.span() for match in _GROUP.finditer(text, start, end)][:8]
    if not groups or _is_article("".join(text[first:last] for first, last in groups)):
        return
    label = _label(text, groups[0][0])
    first = 0
    while first < len(groups):
        opening = _opening(text, groups[first][0], start)
        for last in range(len(groups), first, -1):
            # A part of a longer row of groups is a number where it stands alone, or begins as numbers do.
            if 1 < last - first < len(groups) and text[opening] not in "+(0":
                continue
            found = _number(text, opening, groups[last - 1][1], label, known)
            if found is not None:
                yield found
                first = last
                break
        else:
            first += 1


def _opening(text: str, first: int, least: int) -> int:
    """Where a number begins whose first digit is there: at the plus or bracket before it."""
    while first > least and text[first - 1] in "+(":
        first -= 1
    return first


def _is_article(digits: str) -> bool:
    """A number of goods or books with its check digit: 13 digits are no telephone number, and seldom a card."""
    return len(digits) == _ARTICLE and digits[0] != "4" and ean.is_valid(digits)


def _number(text: str, start: int, end: int, label: str | None, known: Sequence[Plan]) -> Found | None:
    raw = text[start:end]
    digits = "".join(filter(str.isdigit, raw))
    if len(digits) < _SHORTEST:
        return None
    if len(digits) == _CHINESE - 1 and text[end : end + 1] in ("X", "x"):
        raw, digits, end = raw + "X", digits + "X", end + 1
    ends = not _goes_on(text[end : end + 1])
    if (kind := _certified(raw, digits, label) if ends else None) is not None:
        return kind, start, end
    if (extension := EXTENSION.match(text, end)) is not None:
        end = extension.end()
    elif not ends or _is_amount_or_file(text, start, end):
        return None
    called = label != "other" or raw.startswith(("+", "(+"))
    if called and not _NOBODYS_PHONE.fullmatch(digits) and is_phone(raw, digits, known, introduced=label == "phone"):
        return Kind.PHONE, start, end
    # Germany's tax number last: its one check digit fits every tenth number of eleven digits.
    return (Kind.NATIONAL_ID, start, end) if raw == digits and label is None and idnr.is_valid(digits) else None


def _certified(raw: str, digits: str, label: str | None) -> Kind | None:
    """What a number is by its check digits, the surest first."""
    national_id = label is None and _is_national_id(raw, digits)
    if national_id and len(digits) != _INDONESIAN:  # which has no check digit: a card is the surer find
        return Kind.NATIONAL_ID
    if _is_card(raw, digits, bare=label == "other"):
        return Kind.CARD
    return Kind.NATIONAL_ID if national_id else None


def _is_amount_or_file(text: str, start: int, end: int) -> bool:
    """Whether a currency stands beside the number, or a name or a code goes on behind it: ``12345678.pdf``."""
    if text[end : end + 1] in (".", "-") and text[end + 1 : end + 2].isalnum():
        return True
    return bool(_MONEY_AFTER.match(text, end) or _MONEY_BEFORE.search(text, max(0, start - 6), start))


def _goes_on(after: str) -> bool:
    return after == "_" or (after.isascii() and after.isalnum())


def _label(text: str, start: int) -> str | None:
    """What the nearest word before a number says that it is: ``phone``, ``other``, or None."""
    label, begin = None, max(0, start - _NEAR)
    for end in _SENTENCE_END.finditer(text, begin, start):
        begin = end.end()
    for match in _LABEL.finditer(text, begin, start):
        label = match.lastgroup
    return label


def _is_card(raw: str, digits: str, *, bare: bool) -> bool:
    # Grouped as cards are it is one whatever it is called.
    if bare and not _GROUPED_CARD.fullmatch(raw):
        return False
    return bool(_CARD.fullmatch(raw) and _ISSUERS.fullmatch(digits)) and luhn.is_valid(digits)


def _is_national_id(raw: str, digits: str) -> bool:
    if _SSN.fullmatch(raw):
        return True
    check = _NATIONAL.get(len(digits))
    return check is not None and not set(raw) - set("0123456789 -X") and bool(check(digits))


def _is_chinese(number: str) -> bool:
    """A resident identity number: its date of birth and its check character, GB 11643-1999."""
    year, month, day = int(number[6:10]), int(number[10:12]), int(number[12:14])
    return 1880 < year < 2100 and 0 < month <= 12 and 0 < day <= 31 and mod_11_2.is_valid(number)  # noqa: PLR2004


def _ipv4(text: str) -> Iterator[Found]:
    for match in _IPV4.finditer(text):
        if not _NOBODYS_IP.fullmatch(match[0]) and not _VERSION.search(text, max(0, match.start() - 24), match.start()):
            yield Kind.IP, match.start(), match.end()


def _ipv6(text: str) -> Iterator[Found]:
    for match in _IPV6.finditer(text):
        written = match[0]
        if len(written) < len("a::b:1") or written.lower().startswith("2001:db8:"):  # RFC 3849; "::1" is nobody's
            continue
        try:
            IPv6Address(written)
        except AddressValueError:
            continue
        yield Kind.IP, match.start(), match.end()


def _ibans(text: str) -> Iterator[Found]:
    for match in _IBAN.finditer(text):
        length = _iban_length(match[0][:2].upper())
        position, start = match.start(), match.start()
        counted = 0
        while counted < length and position < match.end():
            counted += text[position].isalnum()
            position += 1
        if counted == length and not _goes_on(text[position : position + 1]) and length:
            if iban.is_valid(text[start:position], check_country=False):
                yield Kind.IBAN, start, position
        elif _looks_like_iban(alone := match[0].split()[0]) and _label(text, start) != "other":
            yield Kind.IBAN, start, start + len(alone)


def _looks_like_iban(written: str) -> bool:
    """An account of a country that the registry does not know (yet), in one piece and with the right check digits."""
    return (
        written.isalnum()
        and written.isupper()
        and written[:2] in SUPPORTED_REGIONS
        and mod_97_10.is_valid(written[4:] + written[:4])
    )


_NATIONAL = {11: fodselsnummer.is_valid, _INDONESIAN: nik.is_valid, _CHINESE: _is_chinese}


@cache
def _iban_length(country: str) -> int:
    """How many characters an IBAN of this country has; 0 where it issues none."""
    properties = numdb.get("iban").info(country)[0][1]
    return 4 + sum(map(int, re.findall(r"(\d+)!", properties["bban"]))) if "bban" in properties else 0
