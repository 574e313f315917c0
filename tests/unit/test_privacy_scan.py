"""What the scan takes for personal data, what it leaves alone, and what a text looks like without it."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
from benchmarks.privacy import KNOWN, measure

from curation.errors import Invalid, Unavailable
from curation.privacy import detection, names
from curation.privacy.phones import plans
from curation.privacy.pseudonyms import KEY_FILE, key_of, surrogate
from curation.privacy.spans import Kind, redact, replaced

KEY = b"k" * 32

# Published test values: card networks' test cards, the IBAN registry's examples, vendors' documentation.
FOUND = [
    ("Write to kari.nordmann@nordmann.no.", Kind.EMAIL, "kari.nordmann@nordmann.no"),
    ("邮箱abc@example.com谢谢", Kind.EMAIL, "abc@example.com"),
    ("müller@bücher.de", Kind.EMAIL, "müller@bücher.de"),
    ("Ring 22 33 44 55", Kind.PHONE, "22 33 44 55"),
    ("ring meg på 91234567", Kind.PHONE, "91234567"),
    ("(212) 555-2368 ext. 12", Kind.PHONE, "(212) 555-2368 ext. 12"),
    ("+49 (0)30 901820", Kind.PHONE, "+49 (0)30 901820"),
    ("0171/2345678", Kind.PHONE, "0171/2345678"),
    ("call 0917 123 4567 po", Kind.PHONE, "0917 123 4567"),
    ("电话13912345678谢谢", Kind.PHONE, "13912345678"),
    ("hubungi 0812-3456-7890", Kind.PHONE, "0812-3456-7890"),
    ("My card is 4111 1111 1111 1111, exp 12/27", Kind.CARD, "4111 1111 1111 1111"),
    ("5555555555554444", Kind.CARD, "5555555555554444"),
    ("378282246310005", Kind.CARD, "378282246310005"),
    ("order with card 4111-1111-1111-1111", Kind.CARD, "4111-1111-1111-1111"),
    ("DE89 3704 0044 0532 0130 00 is my account", Kind.IBAN, "DE89 3704 0044 0532 0130 00"),
    ("no9386011117947", Kind.IBAN, "no9386011117947"),
    ("from 185.12.64.1 this morning", Kind.IP, "185.12.64.1"),
    ("fe80::1ff:fe23:4567:890a answers", Kind.IP, "fe80::1ff:fe23:4567:890a"),
    ("AKIAIOSFODNN7EXAMPLE", Kind.KEY, "AKIAIOSFODNN7EXAMPLE"),
    ("Authorization: Bearer mF_9.B5f-4.1JqM77xQ", Kind.KEY, "mF_9.B5f-4.1JqM77xQ"),
    ("mein Passwort: hunter2x!", Kind.KEY, "hunter2x"),
    ("postgresql://errata:s3cret@db/x", Kind.KEY, "errata:s3cret"),
    ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", Kind.KEY, None),
    ("token xoxb-123456789012-abcDEF", Kind.SLACK_TOKEN, "xoxb-123456789012-abcDEF"),
    (
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX",
        Kind.SLACK_TOKEN,
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX",
    ),
    ("SSN 219-09-9999", Kind.NATIONAL_ID, "219-09-9999"),
    ("11010519491231002X", Kind.NATIONAL_ID, "11010519491231002X"),  # GB 11643's own example
    ("Hi Kari, thanks!", Kind.NAME, "Kari"),
    ("Sehr geehrte Frau Dr. Müller,", Kind.NAME, "Müller"),
    ("Selamat pagi Pak Budi Santoso, apa kabar?", Kind.NAME, "Budi Santoso"),
    ("Kumusta po, ako si Juan dela Cruz.", Kind.NAME, "Juan dela Cruz"),
    ("我叫王小明，路由器坏了", Kind.NAME, "王小明"),
    ("Lampa er mørk.\n\nVennlig hilsen\nOla Nordmann", Kind.NAME, "Ola Nordmann"),
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND)
def test_personal_data_is_found_where_it_stands(text: str, kind: Kind, value: str | None) -> None:
    (span,) = [span for span in detection.scan(text) if span.kind is kind]
    assert span.text == (text if value is None else value) == text[span.start : span.end]


@pytest.mark.parametrize(
    "text",
    [
        "Order 48213377 of 2026-11-20, 14:30, cost 1.234.567,89 kr",
        "Bestellnummer 0301234567 vom 20.11.2026",
        "订单号13912345678还没到",
        "invoice 4012888888881881",
        "version 10.4.2.1 and firmware 2.0.13.7",
        "see section 4.2.1.3",
        "from 2024 - 2026, 20261120",
        "12 500 000 kr, $2,125,551,234 or Rp 81.234.567.890",
        "LX-91234567 and AB12CD34EF56",
        "the photo 91234567.jpg and icon@2x.png",
        "https://x.test/orders/91234567?id=22334455",
        "12:30:45, std::vector, ::1, 127.0.0.1",
        "the password is on the back of the lamp, and the key is under it",
        "Hi there, Hello Team, Dear Customer, Hi all,",
        "This is it. What is this? I'm sure",
        "DE00370400440532013000 is no account: its check digits are wrong",
        "4111 1111 1111 1112 is no card",
        "write to x@pseudonym.invalid or call 202-555-0123 or 192.0.2.7",
    ],
)
def test_what_is_nobodys_is_left_alone(text: str) -> None:
    assert detection.scan(text) == []


def test_a_value_belongs_to_one_kind_and_spans_lie_beside_each_other() -> None:
    text = "Kari: kari@nordmann.no, 4111 1111 1111 1111, +47 22 33 44 55"
    spans = detection.scan(text, known=names.known(["Kari Nordmann"]))
    assert [span.kind for span in spans] == [Kind.NAME, Kind.EMAIL, Kind.CARD, Kind.PHONE]
    assert redact(text, spans) == "[NAME]: [EMAIL], [CARD], [PHONE]"


def test_a_span_does_not_show_its_text_in_a_log() -> None:
    assert "kari" not in repr(detection.scan("kari@nordmann.no"))


def test_numbers_without_a_country_code_are_those_of_the_regions_asked_for() -> None:
    assert detection.scan("22 33 44 55", regions=("US",)) == []
    assert detection.scan("+47 22 33 44 55", regions=("US",)) != []
    with pytest.raises(Invalid, match="XX is no region with telephones; write ISO codes such as NO,DE,US"):
        plans(("NO", "XX"))


def test_known_names_are_found_whole_in_parts_and_in_chinese_but_not_as_common_words() -> None:
    known = names.known(["Will Smith", "王小明", "T1/U123", "kari@x.no", "Bo"], but=["Bris"])
    text = "Will you ask will smith or Smith? 请问王小明。"
    assert [span.text for span in detection.scan(text, known=known)] == ["will smith", "Smith", "王小明"]


def test_the_assistants_own_name_stays_even_in_a_greeting() -> None:
    known = names.known(["Bris", "Kari"], but=["Bris"])
    assert [span.text for span in detection.scan("Hi Bris, I am Kari", known=known)] == ["Kari"]


def test_a_pseudonym_is_the_same_for_a_value_however_it_is_written() -> None:
    def stand_in(text: str) -> str:
        (span,) = detection.scan(text)
        return surrogate(span, KEY)

    assert stand_in("Kari@Nordmann.no") == stand_in("kari@nordmann.no") != stand_in("ola@nordmann.no")
    assert stand_in("+47 22334455") == stand_in("+47 22 33 44 55")
    assert stand_in("4111 1111 1111 1111") == stand_in("4111-1111-1111-1111")
    (span,) = detection.scan("kari@nordmann.no")
    assert surrogate(span, KEY) != surrogate(span, b"j" * 32)


def test_pseudonyms_are_nobodys_and_are_not_found_again() -> None:
    text = (
        "kari@nordmann.no +47 22 33 44 55 185.12.64.1 fe80::1ff:fe23:4567:890a 4111 1111 1111 1111 AKIAIOSFODNN7EXAMPLE"
    )
    spans = detection.scan(text)
    assert len(spans) == 6
    assert detection.scan(replaced(text, spans, lambda span: surrogate(span, KEY))) == []


def test_a_name_keeps_its_number_of_words_and_its_script() -> None:
    (one,) = detection.scan("Hi Kari, hello")
    (two,) = detection.scan("Hi Kari Nordmann, hello")
    (han,) = detection.scan("我叫王小明，")
    assert [len(surrogate(span, KEY).split()) for span in (one, two)] == [1, 2]
    assert len(surrogate(han, KEY)) == 3
    assert all("\u3400" <= character <= "\u9fff" for character in surrogate(han, KEY))


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = key_of(tmp_path / "home")
    file = tmp_path / "home" / KEY_FILE
    assert (len(first), stat.S_IMODE(file.stat().st_mode)) == (32, 0o600)
    assert key_of(tmp_path / "home") == first
    file.write_text("short")
    with pytest.raises(Unavailable, match="key of the pseudonyms"):
        key_of(tmp_path / "home")


@pytest.mark.parametrize("one", ["a{}@example.no ", "10.{}.7.9 "], ids=["addresses", "hosts"])
def test_a_text_full_of_findings_takes_as_long_as_it_is_and_no_longer(one: str) -> None:
    text = "".join(one.format(number % 250) for number in range(40_000))
    began = time.process_time()
    assert len(detection.scan(text)) == 40_000
    assert time.process_time() - began < 5  # looking at each beside every other took twenty


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Is O'Neil-Müller here?", "O'Neil-Müller"),
        ("Is O’Neil-Müller here?", "O’Neil-Müller"),
        ("Is O'Neil-Mu\u0308ller here?", "O'Neil-Mu\u0308ller"),
        ("Cafe\u0301: O’Neil‐Mu\u0308ller’s", "O’Neil‐Mu\u0308ller"),
    ],
    ids=["plain", "apostrophe", "accent", "all at once"],
)
def test_a_name_is_found_in_whichever_way_it_is_spelled(text: str, found: str) -> None:
    known = names.known(["O’Neil-Mu\u0308ller"])
    assert [span.text for span in detection.scan(text, known=known)] == [found]
    assert [span.text for span in detection.mentions(text, known)] == [found]


def test_an_address_with_accents_of_its_own_is_cut_out_where_it_stands() -> None:
    text = "Re\u0301: ka\u030ari@x.no, e\u0301"
    assert redact(text, detection.scan(text)) == "Re\u0301: [EMAIL], e\u0301"


def test_a_slice_of_the_benchmark_finds_what_it_should_and_takes_little_by_mistake() -> None:
    figures = measure(1200, seed=3)
    least = {Kind.PHONE: 0.9, Kind.NAME: 0.95, KNOWN: 1.0}
    for kind in (*Kind, KNOWN):
        found = figures.recall(kind)
        assert found is not None, kind
        assert found >= least.get(kind, 0.98), (kind, figures.missed)
    assert figures.clean.total() > 400
    # Eight bare digits that nothing introduces are a Norwegian number, or a code; the other kinds are surer.
    phones = sum(count for (kind, _), count in figures.alarms.items() if kind == Kind.PHONE)
    assert phones <= 0.03 * figures.clean.total(), figures.mistaken
    assert figures.alarms.total() - phones <= 0.005 * figures.clean.total(), figures.mistaken
