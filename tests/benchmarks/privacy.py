"""What the privacy scan finds and what it takes for personal data by mistake, by kind and locale, and how fast.

    python tests/benchmarks/privacy.py [--messages 12000] [--seed 1] [--table FILE]

The values come from Faker's providers for each locale and from published test values, not from whoever wrote the
patterns; the sentences around them are templates in six languages, or Faker's. Clean messages hold order numbers,
versions, dates, prices and product codes that a sentence introduces, and Faker's codes, dates and user agents that
nothing introduces. Names are looked for in two ways: told beforehand, as profiles and customer fields tell them, and
unknown, in greetings, introductions and farewells. A value is found where spans of its kind cover all of it.
The last lines are the figures, one JSON object each; speed is messages per second of this process's CPU time.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import string
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from faker import Faker

from curation.privacy import detection, names
from curation.privacy.names import KnownNames
from curation.privacy.spans import Kind

LOCALES = {"en": "en_US", "de": "de_DE", "nb": "no_NO", "fil": "fil_PH", "zh": "zh_CN", "id": "id_ID"}
KNOWN = "name (known)"
CLEAN_SHARE = 0.4
OWN_SHARE = 0.6
"""Of the clean messages, those in the templates below; the others are Faker's words and numbers."""


@dataclass(frozen=True)
class Sample:
    """A message with the values that stand in it; none in a clean one. ``people``: whom the scan is told of."""

    language: str
    text: str
    kind: str | None
    value: str
    people: tuple[str, ...] = ()


# {} is the value. Some sentences say what the value is, some do not.
SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "any": ("Here you go: {}", "I sent you {} yesterday, did you get it?", "It is {}. Thanks for the help!", "{}"),
        "phone": ("Please call me back at {} after five.", "My number is {}.", "You can reach my wife on {} as well."),
        "name": (
            "Hi {}, thanks for your quick reply.",
            "My name is {} and my router is broken.",
            "The lamp is dark.\n\nBest regards,\n{}",
        ),
        "known": ("I already talked to {} about it last week.", "{} told me to write to you.", "Can you ask {} again?"),
    },
    "de": {
        "any": (
            "Hier bitte: {}",
            "Ich habe Ihnen {} gestern geschickt, kam das an?",
            "Das ist {}. Danke für die Hilfe!",
            "{}",
        ),
        "phone": (
            "Bitte rufen Sie mich unter {} zurück.",
            "Meine Nummer ist {}.",
            "Meine Frau erreichen Sie auch unter {}.",
        ),
        "name": (
            "Hallo {}, danke für die schnelle Antwort.",
            "Mein Name ist {} und mein Router ist kaputt.",
            "Die Lampe bleibt dunkel.\n\nMit freundlichen Grüßen\n{}",
        ),
        "known": (
            "Ich habe darüber schon mit {} gesprochen.",
            "{} hat mir geraten, Ihnen zu schreiben.",
            "Können Sie {} noch einmal fragen?",
        ),
    },
    "nb": {
        "any": ("Her er den: {}", "Jeg sendte dere {} i går, kom den fram?", "Det er {}. Takk for hjelpen!", "{}"),
        "phone": ("Ring meg på {} etter klokka fem.", "Nummeret mitt er {}.", "Du når kona mi på {} også."),
        "name": (
            "Hei {}, takk for raskt svar.",
            "Jeg heter {} og ruteren min er ødelagt.",
            "Lampa er mørk.\n\nVennlig hilsen\n{}",
        ),
        "known": (
            "Jeg snakket allerede med {} om dette i forrige uke.",
            "{} sa at jeg skulle skrive til dere.",
            "Kan du spørre {} igjen?",
        ),
    },
    "fil": {
        "any": (
            "Ito po: {}",
            "Ipinadala ko sa inyo ang {} kahapon, natanggap na ba?",
            "Ito ay {}. Salamat sa tulong!",
            "{}",
        ),
        "phone": (
            "Pakitawagan po ako sa {} pagkatapos ng alas singko.",
            "Ang numero ko ay {}.",
            "Puwede ninyo ring i-text ang asawa ko sa {}.",
        ),
        "name": (
            "Kumusta {}, salamat sa mabilis na sagot.",
            "Ako si {} at sira ang router ko.",
            "Madilim ang ilaw.\n\nLubos na gumagalang,\n{}",
        ),
        "known": (
            "Nakausap ko na si {} tungkol dito noong isang linggo.",
            "Sabi ni {} sumulat daw ako sa inyo.",
            "Puwede bang tanungin ulit si {}?",
        ),
    },
    "zh": {
        "any": ("这是：{}", "我昨天把{}发给你们了，收到了吗？", "是{}。谢谢帮助！", "{}"),
        "phone": ("请五点以后打{}给我。", "我的号码是{}。", "也可以联系我太太{}。"),
        "name": ("我叫{}，我的路由器坏了。", "{}先生您好，谢谢您的回复。", "灯不亮了。\n此致\n敬礼！\n{}"),
        "known": ("我上周已经和{}谈过了。", "{}让我写信给你们。", "能再问一下{}吗？"),
    },
    "id": {
        "any": ("Ini ya: {}", "Kemarin saya kirim {}, sudah diterima?", "Itu {}. Terima kasih atas bantuannya!", "{}"),
        "phone": (
            "Tolong telepon saya di {} setelah jam lima.",
            "Nomor saya {}.",
            "Istri saya juga bisa dihubungi di {}.",
        ),
        "name": (
            "Halo {}, terima kasih atas balasannya.",
            "Nama saya {} dan router saya rusak.",
            "Lampunya mati.\n\nHormat saya,\n{}",
        ),
        "known": (
            "Saya sudah bicara dengan {} minggu lalu.",
            "{} menyuruh saya menulis ke sini.",
            "Bisa tanya {} lagi?",
        ),
    },
}

# {o} an order number, {v} a version, {d} a date, {t} a time, {p} a price, {c} a product code, {s} a serial number.
CLEAN: dict[str, tuple[str, ...]] = {
    "en": (
        "My order {o} from {d} has not arrived yet.",
        "Since version {v} the app stops at {t}.",
        "I paid ${p} for the {c}, is that right?",
        "Invoice {o} says {p} USD and is due on {d}.",
        "The serial number on the back is {s}.",
        "Tracking number {s}, sent on {d} at {t}.",
        "How do I reset the lamp? The manual says chapter 4.2.1.3 and page 112.",
        "Open Monday to Friday, 09:00-17:30, from 2024 - 2026.",
    ),
    "de": (
        "Meine Bestellung {o} vom {d} ist noch nicht da.",
        "Seit Version {v} stürzt die App um {t} ab.",
        "Ich habe {p} € für {c} bezahlt, stimmt das?",
        "Rechnung Nr. {o} über {p} EUR ist am {d} fällig.",
        "Die Seriennummer hinten lautet {s}.",
        "Sendungsnummer {s}, verschickt am {d} um {t}.",
        "Wie setze ich die Lampe zurück? Laut Abschnitt 4.2.1.3 auf Seite 112.",
        "Geöffnet Montag bis Freitag, 09:00-17:30 Uhr, 2024 - 2026.",
    ),
    "nb": (
        "Ordren min {o} fra {d} har ikke kommet.",
        "Siden versjon {v} stopper appen klokka {t}.",
        "Jeg betalte {p} kr for {c}, stemmer det?",
        "Faktura {o} på kr {p} forfaller {d}.",
        "Serienummeret bak er {s}.",
        "Sporingsnummer {s}, sendt {d} klokka {t}.",
        "Hvordan nullstiller jeg lampa? Kapittel 4.2.1.3, side 112.",
        "Åpent mandag til fredag, 09:00-17:30, 2024 - 2026.",
    ),
    "fil": (
        "Hindi pa dumarating ang order {o} ko noong {d}.",
        "Mula sa bersyon {v}, humihinto ang app tuwing {t}.",
        "Nagbayad ako ng ₱{p} para sa {c}, tama ba?",
        "Ang invoice {o} na {p} pesos ay dapat bayaran sa {d}.",
        "Ang serial number sa likod ay {s}.",
        "Tracking number {s}, ipinadala noong {d} alas {t}.",
        "Paano i-reset ang ilaw? Nasa kabanata 4.2.1.3, pahina 112.",
        "Bukas Lunes hanggang Biyernes, 09:00-17:30, 2024 - 2026.",
    ),
    "zh": (
        "我{d}的订单{o}还没到。",
        "从版本{v}开始，应用在{t}就停了。",
        "我买{c}付了¥{p}，对吗？",
        "发票号{o}，金额{p}元，{d}到期。",
        "背面的序列号是{s}。",
        "运单号{s}，{d} {t}寄出。",
        "怎么重置灯？说明书第4.2.1.3节，第112页。",
        "周一至周五09:00-17:30营业，2024 - 2026。",
    ),
    "id": (
        "Pesanan {o} saya tanggal {d} belum sampai.",
        "Sejak versi {v} aplikasi berhenti jam {t}.",
        "Saya bayar Rp{p} untuk {c}, benar?",
        "Faktur {o} sebesar {p} rupiah jatuh tempo {d}.",
        "Nomor seri di belakang {s}.",
        "Nomor resi {s}, dikirim {d} jam {t}.",
        "Bagaimana mereset lampu? Lihat bab 4.2.1.3 halaman 112.",
        "Buka Senin sampai Jumat, 09:00-17:30, 2024 - 2026.",
    ),
}


def secret(fake: Faker, rng: random.Random) -> str:
    """A credential of a published shape with random contents."""

    def some(count: int, letters: str = string.ascii_letters + string.digits) -> str:
        return "".join(rng.choices(letters, k=count))

    made: tuple[Callable[[], str], ...] = (
        lambda: "AKIA" + some(16, string.ascii_uppercase + "234567"),  # docs.aws.amazon.com, IAM identifiers
        lambda: "ghp_" + some(36),  # github.blog, 2021-04-05
        lambda: "AIza" + some(35),  # cloud.google.com, API keys
        lambda: "sk_live_" + some(24),  # docs.stripe.com/keys
        lambda: f"eyJhbGciOiJIUzI1NiJ9.eyJ{some(30)}.{some(43)}",  # RFC 7519
        lambda: "Authorization: Bearer " + fake.sha1(),  # RFC 6750
        lambda: f"-----BEGIN RSA PRIVATE KEY-----\n{some(64)}\n-----END RSA PRIVATE KEY-----",  # RFC 7468
        lambda: "glpat-" + some(20),  # docs.gitlab.com
    )
    return rng.choice(made)()


def slack_token(_fake: Faker, rng: random.Random) -> str:
    """As docs.slack.dev shows tokens and webhooks."""
    number, tail = rng.randrange(10**11, 10**12), "".join(rng.choices(string.ascii_letters + string.digits, k=24))
    return rng.choice(
        (
            f"xoxb-{number}-{number}-{tail}",
            f"xoxp-{number}-{number}-{tail}",
            f"xapp-1-A{tail[:9].upper()}-{number}-{tail.lower()}",
            f"https://hooks.slack.com/services/T{tail[:8].upper()}/B{tail[8:16].upper()}/{tail}",
        )
    )


def phone(fake: Faker, rng: random.Random) -> str:
    """Faker's number of the locale; the Philippines' provider calls its methods otherwise."""
    if hasattr(fake, "phone_number"):
        return str(fake.phone_number())
    return str(rng.choice((fake.mobile_number, fake.area2_landline_number, fake.non_area2_landline_number))())


def person(fake: Faker, _rng: random.Random) -> str:
    """Given and family name."""
    return (
        f"{fake.last_name()}{fake.first_name()}"
        if "zh_CN" in fake.locales
        else f"{fake.first_name()} {fake.last_name()}"
    )


def national_id(fake: Faker, _rng: random.Random) -> str | None:
    """Where both Faker and the public standard have one with which it can be told from other numbers."""
    return str(fake.ssn()) if fake.locales[0] in {"en_US", "no_NO", "zh_CN"} else None


VALUES: dict[str, Callable[[Faker, random.Random], str | None]] = {
    Kind.EMAIL: lambda fake, rng: rng.choice(
        (fake.company_email, fake.free_email, fake.ascii_company_email, fake.email)
    )(),
    Kind.PHONE: phone,
    Kind.CARD: lambda fake, _: fake.credit_card_number(),
    Kind.IBAN: lambda fake, _: fake.iban() if hasattr(fake, "iban") else Faker("de_DE").iban(),
    Kind.IP: lambda fake, rng: rng.choice((fake.ipv4_public, fake.ipv4_private, fake.ipv6))(),
    Kind.KEY: secret,
    Kind.SLACK_TOKEN: slack_token,
    Kind.NATIONAL_ID: national_id,
    Kind.NAME: person,
    KNOWN: person,
}


def clean(language: str, rng: random.Random) -> str:
    """A message without personal data."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(2019, 2026)
    dates = {
        "en": (f"{month}/{day}/{year}", f"{year}-{month:02}-{day:02}"),
        "zh": (f"{year}年{month}月{day}日", f"{year}-{month:02}-{day:02}"),
    }
    european = (f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}", f"{day}/{month}/{year}")
    whole, cents = rng.randint(1, 2_500_000), rng.randint(0, 99)
    comma = f"{whole:,}".replace(",", ".") + f",{cents:02}"
    prices = {"en": f"{whole:,}.{cents:02}", "fil": f"{whole:,}.{cents:02}", "zh": f"{whole}.{cents:02}"}
    digits = "".join(rng.choices(string.digits, k=rng.randint(6, 14)))
    values = {
        "o": rng.choice((digits, f"{rng.randint(1, 99_999_999)}", f"ORD-{digits}", f"{digits[:4]}-{digits[4:]}")),
        "v": ".".join(str(rng.randint(0, 30)) for _ in range(rng.choice((2, 3, 4)))),
        "d": rng.choice(dates.get(language, european)),
        "t": f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
        "p": prices.get(language, comma),
        "c": rng.choice(
            (f"LX-{rng.randint(100, 9999)}", f"{rng.randint(100, 999)}-{rng.randint(10, 99)}-A", f"B0{digits[:8]}")
        ),
        "s": rng.choice((f"SN{digits}", digits, f"{digits[:4]} {digits[4:8]} {digits[8:]}".strip(), f"1Z{digits}")),
    }
    return rng.choice(CLEAN[language]).format(**values)


def foreign(fake: Faker, rng: random.Random) -> str:
    """A message without personal data of Faker's own words and numbers, which nothing introduces."""
    number = rng.choice(
        (
            fake.ean13,
            fake.ean8,
            fake.isbn13,
            fake.date,
            fake.iso8601,
            fake.postcode,
            fake.uuid4,
            fake.pricetag if hasattr(fake, "pricetag") else fake.date,
            fake.license_plate if hasattr(fake, "license_plate") else fake.isbn10,
            lambda: fake.bothify("??-####-##"),
            fake.file_name,
            fake.user_agent,
        )
    )()
    return f"{fake.sentence()} {number} {fake.sentence()}"


def samples(count: int, seed: int) -> list[Sample]:
    """So many messages, the locales and kinds in turn; the same seed gives the same ones."""
    rng = random.Random(seed)
    fakes = {language: Faker(locale) for language, locale in LOCALES.items()}
    for offset, fake in enumerate(fakes.values()):
        fake.seed_instance(seed + offset)
    Faker.seed(seed)  # for the locale that stands in where a provider has no IBAN
    made: list[Sample] = []
    kinds = list(VALUES)
    for number in range(count):
        language = list(LOCALES)[number % len(LOCALES)]
        if rng.random() < CLEAN_SHARE:
            text = clean(language, rng) if rng.random() < OWN_SHARE else foreign(fakes[language], rng)
            made.append(Sample(language, text, None, ""))
            continue
        kind = kinds[(number // len(LOCALES)) % len(kinds)]
        value = VALUES[kind](fakes[language], rng)
        if value is None:
            continue
        own = SENTENCES[language].get({KNOWN: "known"}.get(kind, kind), ())
        among = f"{fakes[language].sentence()} {{}} {fakes[language].sentence()}"
        sentence = rng.choice(own if kind in {Kind.NAME, KNOWN} else (*own, *SENTENCES[language]["any"], among))
        people = (value,) if kind == KNOWN else ()
        made.append(
            Sample(language, sentence.format(value), kind, value.split("Bearer ")[-1].removeprefix("https://"), people)
        )
    return made


@dataclass
class Figures:
    """Counts by kind and language: how many there were, how many were found, and what else was taken for it."""

    there: Counter[tuple[str, str]]
    found: Counter[tuple[str, str]]
    alarms: Counter[tuple[str, str]]
    clean: Counter[str]
    messages_per_second: float
    missed: list[Sample]
    mistaken: list[tuple[Sample, str, str]]

    def recall(self, kind: str, language: str | None = None) -> float | None:
        """The share that was found; None where there was none."""
        keys = [key for key in self.there if key[0] == kind and language in (None, key[1])]
        there = sum(self.there[key] for key in keys)
        return sum(self.found[key] for key in keys) / there if there else None


def measure(count: int, seed: int) -> Figures:
    """Scan the messages of this seed with the scan's own settings, all regions at once."""
    logging.getLogger("faker").setLevel(logging.ERROR)  # it warns of every number that it has invented
    texts = samples(count, seed)
    figures = Figures(Counter(), Counter(), Counter(), Counter(), 0.0, [], [])
    told: list[KnownNames] = [names.known(sample.people) for sample in texts]
    detection.scan("+47 22 33 44 55, kari@x.no")  # the numbering plans are made once a process
    began = time.process_time()
    scanned = [detection.scan(sample.text, known=known) for sample, known in zip(texts, told, strict=True)]
    figures.messages_per_second = len(texts) / (time.process_time() - began)
    for sample, spans in zip(texts, scanned, strict=True):
        if sample.kind is None:
            figures.clean[sample.language] += 1
            for span in spans:
                figures.alarms[span.kind.value, sample.language] += 1
                figures.mistaken.append((sample, span.kind.value, span.text))
            continue
        kind = Kind.NAME if sample.kind == KNOWN else Kind(sample.kind)
        key = (sample.kind, sample.language)
        figures.there[key] += 1
        start = sample.text.index(sample.value)
        covered = {place for span in spans if span.kind is kind for place in range(span.start, span.end)}
        if all(place in covered or sample.text[place] == " " for place in range(start, start + len(sample.value))):
            figures.found[key] += 1
        else:
            figures.missed.append(sample)
    return figures


def table(figures: Figures) -> str:
    """Markdown: a row a kind, a column a language, recall in per cent; then false alarms per 1,000 clean messages."""
    head = ["Found, %", *LOCALES, "all"]
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(LOCALES) + 1) + "|"]
    for kind in VALUES:
        cells = [figures.recall(kind, language) for language in (*LOCALES, None)]
        shown = ("–" if cell is None else f"{100 * cell:.0f}" for cell in cells)
        lines.append(f"| {str(kind).replace('_', ' ')} | {' | '.join(shown)} |")
    lines += [
        "",
        f"| False alarms per 1,000 clean messages | {' | '.join(LOCALES)} | all |",
        "|---" + "|--:" * (len(LOCALES) + 1) + "|",
    ]
    for kind in (*Kind, None):
        counts = [
            sum(count for key, count in figures.alarms.items() if kind in (None, key[0]) and language in (None, key[1]))
            / (figures.clean[language] if language else figures.clean.total())
            for language in (*LOCALES, None)
        ]
        shown = (f"{1000 * one:.1f}" for one in counts)
        lines.append(f"| {kind.replace('_', ' ') if kind else 'any'} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print so many misses and mistakes")
    options = parser.parse_args()
    print(f"load average at the start {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    figures = measure(options.messages, options.seed)
    for sample in figures.missed[: options.show]:
        print("missed", sample.kind, sample.language, repr(sample.text))
    for sample, kind, text in figures.mistaken[: options.show]:
        print("mistaken", kind, sample.language, repr(text), repr(sample.text))
    print(table(figures))
    for kind in VALUES:
        print(json.dumps({"name": f"privacy.recall.{str(kind).replace(' ', '_')}", "value": figures.recall(kind)}))
    alarms = figures.alarms.total() / max(1, figures.clean.total())
    print(json.dumps({"name": "privacy.false_alarms_per_clean_message", "value": alarms}))
    print(json.dumps({"name": "privacy.messages_per_second", "value": figures.messages_per_second}))


if __name__ == "__main__":
    main()
