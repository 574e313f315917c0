"""Support dialogues by the hundred thousand, the same for the same seed: about 200 tokens each, in five languages.

Of a hundred dialogues about three repeat an earlier one and about three say nearly what an earlier one says. Words
follow Zipf's law within a language, so that a tokenizer and a search for repeats meet rare and common ones as they
do in what people write.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

REPEATED, NEARLY_REPEATED = 0.03, 0.03
RARE_WORDS = 40_000
_MEMORY = 1_000
_TOPICS = ("billing", "shipping", "returns", "account", "warranty", "app")
_PRODUCTS = ("Nordlys 3", "Kaffe Pro", "AirWell 200", "Vela", "Zephyr Mini", "Kompass", "Luma XL", "Terra 12")
_PROMPT = (
    "You are the support assistant of {shop}. Answer briefly and kindly in the customer's language, ask for the "
    "order number where you need it, and say so when you do not know."
)
_SHOPS = ("Nordlicht", "Fjell & Co", "Bintang", "Kaffeehaus", "Lumen")

# What customers and assistants say, and words for what it is about. {x} words, {n} a number, {p} a product.
_LANGUAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "en": (
        (
            "I ordered the {p} with the number {n} and {x} {x} {x} {x}, so {x} {x} {x} {x} {x}?",
            "Since the {x} my {p} {x} {x} {x} {x}. Can you {x} the {x} {x} {x} before {x}?",
            "My {x} says {x} {x} {x} {n}, but the {x} on my {x} is {x} {x} {x} {x}.",
            "Hello, {x} {x} {x} {x} {x} the {x} of order {n}; what {x} {x} {x} now?",
        ),
        (
            "Thank you for your patience. The {p} {x} {x} {x} {x} within {n} days, and you {x} {x} {x} {x} {x}.",
            "Please open the {x}, choose {x} and {x} {x} {x} {x}. If the {x} {x} {x}, write to us again.",
            "I have found order {n}: it {x} {x} {x} {x} {x}. Would you like to {x} {x} {x}?",
        ),
        """the a to of and is that with for on not this have parcel refund invoice order delivery address charge
account password filter battery display cable reset update support team warehouse courier receipt
discount voucher store manual warranty repair colour size noise water light button screen signal home
office garden kitchen week month yesterday tomorrow morning evening broken missing late wrong double
open closed blue slow quick change cancel return replace check send receive print download connect
charge clean install remove keep lose""",
    ),
    "de": (
        (
            "Ich habe {p} mit der Nummer {n} bestellt und {x} {x} {x} {x}, was {x} {x} {x} {x}?",
            "Seit dem {x} {x} mein {p} {x} {x} {x}. Können Sie die {x} {x} {x} vor {x}?",
            "Guten Tag, {x} {x} {x} {x} die {x} zur Bestellung {n}; {x} {x} {x} jetzt?",
        ),
        (
            "Vielen Dank für Ihre Geduld. {p} {x} {x} {x} innerhalb von {n} Tagen, und Sie {x} {x} {x} {x}.",
            "Bitte öffnen Sie die {x}, wählen Sie {x} und {x} {x} {x} {x}. Falls {x} {x} {x}, melden Sie sich.",
        ),
        """der die das und nicht mit für auf ist eine Bestellung Rechnung Lieferung Rückgabe Gutschrift Konto
Passwort Akku Anzeige Kabel Filter Gerät Lager Bote Quittung Rabatt Gutschein Anleitung Garantie
Reparatur Farbe Größe Geräusch Wasser Licht Taste Bildschirm Küche Büro Garten Woche Monat gestern
morgen Abend kaputt fehlt verspätet falsch doppelt offen geschlossen blau langsam schnell ändern
stornieren zurückgeben ersetzen prüfen senden erhalten drucken herunterladen verbinden laden reinigen
einbauen entfernen behalten""",
    ),
    "nb": (
        (
            "Jeg bestilte {p} med nummer {n} og {x} {x} {x} {x}, så {x} {x} {x} {x}?",
            "Hei, siden {x} {x} {p} {x} {x} {x}. Kan dere {x} {x} {x} før {x}?",
        ),
        (
            "Takk for tålmodigheten. {p} {x} {x} {x} innen {n} dager, og du {x} {x} {x} {x}.",
            "Åpne {x}, velg {x} og {x} {x} {x} {x}. Skriv igjen hvis {x} {x} {x}.",
        ),
        """og i det på som er en til av for med ikke pakke faktura bestilling levering retur refusjon konto passord
batteri skjerm kabel filter lager sjåfør kvittering rabatt gavekort butikk bruksanvisning garanti
reparasjon farge størrelse støy vann lys knapp kjøkken kontor hage uke måned i går morgen kveld ødelagt
mangler forsinket feil dobbelt åpen stengt blå treg rask endre avbestille returnere bytte sjekke sende
motta skrive laste ned koble lade rengjøre montere fjerne beholde""",
    ),
    "id": (
        (
            "Saya memesan {p} dengan nomor {n} dan {x} {x} {x} {x}, jadi {x} {x} {x} {x}?",
            "Halo, sejak {x} {p} saya {x} {x} {x}. Apakah bisa {x} {x} {x} sebelum {x}?",
        ),
        (
            "Terima kasih atas kesabarannya. {p} {x} {x} {x} dalam {n} hari, dan Anda {x} {x} {x} {x}.",
            "Silakan buka {x}, pilih {x} dan {x} {x} {x} {x}. Jika {x} {x} {x}, hubungi kami lagi.",
        ),
        """yang dan di dengan untuk tidak ini itu paket tagihan pesanan pengiriman pengembalian akun kata sandi
baterai layar kabel saringan gudang kurir kuitansi diskon kupon toko panduan garansi perbaikan warna
ukuran suara air lampu tombol dapur kantor kebun minggu bulan kemarin besok pagi malam rusak hilang
terlambat salah ganda buka tutup biru lambat cepat mengubah membatalkan mengganti memeriksa mengirim
menerima mencetak mengunduh""",
    ),
    "zh": (
        ("我订了{p},订单号{n},{x}{x}{x}{x},请问{x}{x}{x}{x}?", "你好,自从{x}以后,我的{p}{x}{x}{x},能不能{x}{x}{x}?"),
        (
            "感谢您的耐心。{p}{x}{x}{x}将在{n}天内{x}{x},您{x}{x}{x}。",
            "请打开{x},选择{x},然后{x}{x}{x}。如果{x}{x},请再联系我们。",
        ),
        """包裹 退款 发票 订单 送货 地址 扣款 账户 密码 滤芯 电池 屏幕 电缆 重置 更新 客服 仓库 快递 收据 折扣
优惠券 商店 说明书 保修 维修 颜色 尺寸 噪音 水 灯 按钮 信号 厨房 办公室 花园 上周 下个月 昨天 明天 早上 晚上 坏了
丢失 迟到 错误 重复 打开 关闭 蓝色 很慢 更改 取消 退回 更换 检查 发送 收到 打印 下载 连接 充电 清洁 安装 拆除 保留""",
    ),
}
_SHARES = {"en": 45, "de": 20, "nb": 15, "id": 10, "zh": 10}


def _joined(one: str, other: str, rng: random.Random) -> str:
    """The beginning of one word, a letter or two of anybody's, the end of another."""
    between = "".join(rng.choices(one + other, k=rng.randint(0, 2)))
    return one[: rng.randint(1, len(one))] + between + other[rng.randint(0, len(other) - 1) :]


def write(path: Path, examples: int, seed: int = 1) -> None:
    """Write so many dialogues as chat JSONL, one at a time."""
    with path.open("w", encoding="utf-8") as file:
        for row in dialogues(examples, seed):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def dialogues(examples: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Rows of chat JSONL with topic, language, thread and customer."""
    rng = random.Random(seed)
    speakers = {code: _Speaker(rng, *words) for code, words in _LANGUAGES.items()}
    codes, shares = list(_SHARES), list(_SHARES.values())
    earlier: list[dict[str, Any]] = []
    for number in range(examples):
        chance = rng.random()
        if earlier and chance < REPEATED + NEARLY_REPEATED:
            row = rng.choice(earlier)
            row = {**row, "metadata": {**row["metadata"], "thread": f"C1/{number}"}}
            if chance >= REPEATED:
                row["messages"] = [dict(turn) for turn in row["messages"]]
                row["messages"][1]["content"] += f" {rng.randrange(100)}"
                row["messages"][-1]["content"] += " OK."
        else:
            code = rng.choices(codes, shares)[0]
            row = _dialogue(rng, speakers[code], code, number)
        yield row
        if len(earlier) < _MEMORY:
            earlier.append(row)
        elif rng.random() < 1 / 20:
            earlier[rng.randrange(_MEMORY)] = row


def _dialogue(rng: random.Random, speaker: _Speaker, language: str, number: int) -> dict[str, Any]:
    messages = [{"role": "system", "content": _PROMPT.format(shop=rng.choice(_SHOPS))}]
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        messages.append({"role": "user", "content": " ".join(speaker.asks() for _ in range(rng.choice((1, 2))))})
        messages.append({"role": "assistant", "content": speaker.answers()})
    metadata = {
        "topic": rng.choice(_TOPICS),
        "language": language,
        "kind": rng.choice(("endorsement", "endorsement", "correction")),
        "thread": f"C1/{number}",
        "customer": f"customer-{rng.randrange(1_000_000)}",
    }
    return {"messages": messages, "metadata": metadata}


class _Speaker:
    """Somebody who writes in one language, with the words of that language by Zipf's law and some nobody else has."""

    def __init__(self, rng: random.Random, asked: tuple[str, ...], answered: tuple[str, ...], words: str) -> None:
        self._rng = rng
        self._asked = asked
        self._answered = answered
        common = words.split()
        # Names, compounds and slips of the finger: tens of thousands of words, most of which hardly anybody uses.
        rare = [_joined(rng.choice(common), rng.choice(common), rng) for _ in range(RARE_WORDS)]
        self._words = list(dict.fromkeys([*common, *rare]))
        self._weights = list(accumulate(1 / place for place in range(1, len(self._words) + 1)))

    def asks(self) -> str:
        return self._filled(self._rng.choice(self._asked))

    def answers(self) -> str:
        return self._filled(self._rng.choice(self._answered))

    def _filled(self, sentence: str) -> str:
        first, *rest = sentence.split("{x}")
        words = self._rng.choices(self._words, cum_weights=self._weights, k=len(rest))
        filled = "".join([first, *(word + piece for word, piece in zip(words, rest, strict=True))])
        return filled.replace("{p}", self._rng.choice(_PRODUCTS)).replace(
            "{n}", str(self._rng.randrange(10, 1_000_000))
        )
