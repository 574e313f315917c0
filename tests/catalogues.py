"""The catalogues of translations, made from the code: ``make catalogues``.

Owns which sentences there are for translators, ``bot/locale/errata.pot`` and how a catalogue of a language is brought
up to date: translations are kept, what is new stands there without one, what is gone goes. Refuses to guess: nothing
is taken for a translation because its English looks alike.

Sentences are read with ``ast``, which tells a literal from an f-string; Babel's own reader of Python cannot.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest
from babel.messages import Catalog, Message
from babel.messages.pofile import read_po, write_po

from bot import speech
from bot.assistant.tasks import TaskStatus, TaskStep
from bot.speech import DOMAIN, OWN_NAMES
from curation import errors
from curation.candidates import CandidateKind, CandidateStatus, Step
from curation.checking import checks
from curation.datasets import fitness, sides
from curation.formats.rules import Rule
from curation.measures import balance
from curation.policies import Permission
from curation.privacy import releases
from curation.screening import suspicions
from training.deployments import DeploymentStatus, DeploymentStep
from training.runs import RunStatus, RunStep

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "bot" / "locale"
TEMPLATE = FOLDER / "errata.pot"
LANGUAGES = tuple(code for code in OWN_NAMES if code != "en")
LOCALES = {"zh": "zh_Hans"}

TERMS = (
    ("fine-tuning", "Feinabstimmung", "finjustering", "fine-tuning", "微调", "penyesuaian"),
    ("dataset", "Datensatz", "datasett", "dataset", "数据集", "dataset"),
    ("training data", "Trainingsdaten", "treningsdata", "training data", "训练数据", "data pelatihan"),
    ("model", "Modell", "modell", "modelo", "模型", "model"),
    ("deployment", "Bereitstellung", "distribusjon", "deployment", "部署", "penerapan"),
    ("evaluation", "Bewertung", "evaluering", "evaluation", "评估", "evaluasi"),
    ("validation", "Validierung", "validering", "validation", "验证", "validasi"),
    ("endpoint", "Endpunkt", "endepunkt", "endpoint", "终端", "endpoint"),
    ("cost", "Kosten", "kostnad", "gastos", "成本", "biaya"),
    ("quota", "Kontingent", "kvote", "quota", "配额", "kuota"),
)
"""What guides about fine-tuning that people have read call things: in English, then in the order of ``LANGUAGES``."""

PACKAGES = ("curation", "training", "bot")
ON_THE_COMMAND_LINE = (
    *("bot/sandbox/", "bot/demo/", "bot/migrations/", "bot/entry.py", "bot/cli.py", "bot/settings.py"),
    *("bot/variables.py", "bot/env_file.py"),
    *(
        "bot/archives.py",
        "bot/backups.py",
        "bot/upgrading.py",
        "bot/database_files.py",
        "bot/initialising.py",
        "curation/commands/",
        "curation/cli.py",
    ),
    *("training/cli.py", "training/commands/", "curation/terminal.py"),
    *("bot/addresses.py", "bot/serving.py", "bot/doctor.py"),
)
"""What speaks to whoever sits at the machine, in English."""

ONE, MANY = {"say", "phrase"}, {"many", "plural"}
"""What takes a sentence first, and what takes one for a single thing and one for several."""


@dataclass(frozen=True, order=True)
class Spoken:
    """A sentence of the code: where it stands, its template, and for a plural the template for several."""

    path: str
    line: int
    template: str
    many: str | None = None

    @property
    def key(self) -> str | tuple[str, str]:
        """As catalogues know it."""
        return self.template if self.many is None else (self.template, self.many)


@cache
def error_names() -> frozenset[str]:
    """The names of the errors that are shown to people, those of other packages included."""
    found = {
        name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.ErrataError)
    }
    while True:
        grown = {
            node.name
            for path in _files()
            for node in ast.walk(_tree(path))
            if isinstance(node, ast.ClassDef) and any(_name(base) in found for base in node.bases)
        }
        if grown <= found:
            return frozenset(found)
        found |= grown


def sentences() -> list[Spoken]:
    """Every sentence that the code may say in Slack, by file."""
    found = {one for path in _files() for one in of_module(_relative(path), _tree(path), error_names())}
    return sorted(found | set(_of_tables()))


def of_module(path: str, tree: ast.Module, errors_known: frozenset[str]) -> Iterator[Spoken]:
    """The sentences of one module."""
    for call, singular in calls(tree, errors_known):
        for one in literals(call.args[0]):
            if singular:
                yield Spoken(path, one.lineno, str(one.value))
            else:
                for several in literals(call.args[1]):
                    yield Spoken(path, one.lineno, str(one.value), str(several.value))


def calls(tree: ast.AST, errors_known: frozenset[str]) -> Iterator[tuple[ast.Call, bool]]:
    """Every call that says something, and whether it says it of one thing."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = "" if _is_terminal(node.func) else _name(node.func)
        if name in ONE or name in errors_known or _is_constructor(node):
            yield node, True
        elif name in MANY and len(node.args) > 1:
            yield node, False


def literals(node: ast.expr) -> Iterator[ast.Constant]:
    """The literal, or those of which a condition chooses one."""
    if isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node


def unspeakable() -> list[str]:
    """Where the code says what no catalogue can hold: ``bot/blocks/x.py:12 say(f"…")``."""
    found = []
    for path in _files():
        tree = _tree(path)
        texts = _plain_names(tree)
        for call, _ in calls(tree, error_names()):
            if not _speakable(call.args[0], texts):
                found.append(f"{_relative(path)}:{call.lineno} {ast.unparse(call)[:80]}")
    return found


SHOWN = {
    **dict.fromkeys(("plain", "header", "section", "context", "button", "quoted", "Press"), (0,)),
    "text_input": (2,),
    "choice": (1,),
    "modal": (2,),
    "notice_view": (1, 2),
    "answer": (1,),
    "Message": (0,),
}
"""Where builders and listeners take a text that people see, by its place among the arguments."""
SHOWN_BY_NAME = {"hint", "placeholder", "submit", "title", "label", "text", "alt_text"}


def unsaid() -> list[str]:
    """Where a text with words is shown that no ``Say`` has said: ``bot/blocks/x.py:12 'Approve'``."""
    found = []
    for path in _files():
        if not _relative(path).startswith(("bot/blocks/", "bot/listeners/", "bot/rendering.py", "bot/assistant/")):
            continue
        for call in ast.walk(_tree(path)):
            if isinstance(call, ast.Call) and (places := SHOWN.get(_name(call.func))) is not None:
                held = [call.args[place] for place in places if place < len(call.args)]
                held += [one.value for one in call.keywords if one.arg in SHOWN_BY_NAME]
                found += [f"{_relative(path)}:{one.lineno} {ast.unparse(one)[:80]}" for one in held if _has_words(one)]
    return found


def _has_words(node: ast.expr) -> bool:
    """Whether a literal is shown, emoji and commands aside."""
    if isinstance(node, ast.IfExp):
        return _has_words(node.body) or _has_words(node.orelse)
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str))
    return re.search(r"[A-Za-z]{3}", re.sub(r":[a-z0-9_+-]+:|`[^`]*`|/errata[a-z ]*", "", text)) is not None


def template() -> Catalog:
    """``errata.pot``: sorted by file, without line numbers and dates, so that a change shows what has changed."""
    made = _catalogue(None)
    for spoken in sentences():
        made.add(spoken.key, locations=[(spoken.path, 0)])
    return made


def merged(language: str, source: Catalog, before: Catalog | None) -> Catalog:
    """A language's catalogue with exactly the messages of ``source`` and the translations that it had."""
    made = _catalogue(language)
    for message in source:
        if not message.id:
            continue
        known = before.get(templates(message)[0]) if before is not None else None
        kept = known.string if known is not None and known.id == message.id else None
        blank = [""] * made.num_plurals if message.pluralizable else ""
        made.add(
            message.id, kept or blank, locations=message.locations, user_comments=known.user_comments if known else ()
        )
    return made


def read(language: str) -> Catalog | None:
    """The catalogue of a language as it stands in the tree."""
    path = FOLDER / f"{language}.po"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return read_po(file, locale=LOCALES.get(language, language), domain=DOMAIN)


def written(catalogue: Catalog) -> bytes:
    """The text of a catalogue's file; the same for the same messages, whenever and wherever it is written."""
    out = BytesIO()
    write_po(out, catalogue, width=100, omit_header=False, include_lineno=False, ignore_obsolete=True)
    # Babel stamps its own version and the hour of writing, and each would be a change.
    lines = out.getvalue().decode().splitlines(keepends=True)
    stamps = ('"POT-Creation', '"PO-Revision', '"Generated-By', '"Last-Translator', '"Report-Msgid', '"Language-Team')
    return "".join(line for line in lines if not line.startswith(stamps)).encode()


def write() -> int:
    """Write the template and bring every language up to it; how many messages there are."""
    FOLDER.mkdir(exist_ok=True)
    source = template()
    TEMPLATE.write_bytes(written(source))
    for language in LANGUAGES:
        (FOLDER / f"{language}.po").write_bytes(written(merged(language, source, read(language))))
    return len(source)


def marked(language: str, source: Catalog) -> Catalog:
    """A catalogue in which every sentence is the English one behind a mark: what bears none was never translated."""
    made = _catalogue(language)
    for message in source:
        said = [mark(language) + one for one in templates(message)]
        if message.id:
            made.add(message.id, said[-made.num_plurals :] if message.pluralizable else said[0])
    return made


def mark(language: str) -> str:
    """What stands before every sentence of ``marked``: ``de·``."""
    return f"{language}·"


@contextmanager
def spoken_from(folder: Path, catalogues: Mapping[str, Catalog]) -> Iterator[None]:
    """Errata speaks from these catalogues, and no other language than theirs has any."""
    (folder / "locale").mkdir(parents=True)
    for language, one in catalogues.items():
        (folder / "locale" / f"{language}.po").write_bytes(written(one))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech, "files", lambda _package: folder)
        _forget()
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    speech.catalogue.cache_clear()
    speech.speaking.cache_clear()


def missing(catalogue: Catalog) -> list[Message]:
    """The messages without a translation, or with one form of it too few."""
    return [message for message in catalogue if message.id and not all(forms(message))]


def forms(message: Message) -> tuple[str, ...]:
    """What is said instead of a message, in each of its forms; empty where nobody has translated it."""
    said = message.string
    return tuple(map(str, said)) if isinstance(said, tuple | list) else (said or "",)


def templates(message: Message) -> tuple[str, ...]:
    """The English sentence; of a plural both."""
    return tuple(map(str, message.id)) if isinstance(message.id, tuple | list) else (str(message.id),)


def placeholders(text: str) -> dict[str, str]:
    """``{count:,} of {name!r}`` → ``{"count": ",", "name": "!r"}``."""
    return {
        name: f"{'!' + conversion if conversion else ''}{spec or ''}"
        for _, name, spec, conversion in Formatter().parse(text)
        if name is not None
    }


def commands(text: str) -> list[str]:
    """What has to be typed as it stands: backticked words, ``/errata …`` and environment variables."""
    return sorted(re.findall(r"`[^`]+`|/errata(?: [a-z]+)?|\bERRATA_[A-Z_]+|--[a-z-]+|\berrata [a-z-]+\b", text))


def marks(text: str) -> dict[str, int]:
    """How often each mark of mrkdwn stands in a text."""
    without = re.sub(r"`[^`]*`", "", text)
    return {mark: without.count(mark) for mark in ("*", "~", "`", "<", ">", "\n")}


def _of_tables() -> Iterator[Spoken]:
    """The words of enums and of rules' advice, which are said without standing in a call."""
    for module, kinds in _enums():
        for kind in kinds:
            for member in kind:
                yield Spoken(module, 0, member.value)
    for path, rules in _rules():
        for rule in rules:
            yield Spoken(path, 0, rule.fix)


def _enums() -> Iterator[tuple[str, tuple[type[StrEnum], ...]]]:
    yield "bot/assistant/tasks.py", (TaskStatus, TaskStep)
    yield "curation/candidates.py", (CandidateKind, CandidateStatus, Step)
    yield "curation/policies.py", (Permission,)
    yield "training/deployments.py", (DeploymentStatus, DeploymentStep)
    yield "training/runs.py", (RunStatus, RunStep)


def _rules() -> Iterator[tuple[str, Iterable[Rule]]]:
    for module in (suspicions, checks, fitness, sides, balance, releases):
        yield _relative(Path(str(module.__file__))), module.RULES


def _catalogue(language: str | None) -> Catalog:
    about = ["# Sentences of Errata, made from the code by: make catalogues"]
    if language is not None:
        column = LANGUAGES.index(language) + 1
        about += ["#", f"# {OWN_NAMES[language]}. The words for things:"]
        about += [f"#   {term[0]}: {term[column]}" for term in TERMS]
        about += ["#", "# What stands in {braces}, in `backticks` and behind /errata or errata stays as it is."]
    return Catalog(
        locale=LOCALES.get(language, language) if language else None,
        domain=DOMAIN,
        project="Errata",
        version="1",
        copyright_holder="the authors of Errata",
        header_comment="\n".join(about),
        charset="utf-8",
        creation_date=datetime(2026, 1, 1, tzinfo=UTC),
        fuzzy=False,
    )


def _speakable(node: ast.expr, texts: frozenset[str]) -> bool:
    """Whether it is a literal, or a phrase that was made elsewhere; an f-string or a sum is neither."""
    if isinstance(node, ast.IfExp):
        return _speakable(node.body, texts) and _speakable(node.orelse, texts)
    if isinstance(node, ast.Name):
        return node.id not in texts
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.Subscript):
        return not (isinstance(node.value, ast.Name) and node.value.id in texts)
    return isinstance(node, ast.Attribute | ast.Call | ast.BoolOp)


def _plain_names(tree: ast.Module) -> frozenset[str]:
    """Names that the module binds to a bare text, or to a table of such: said, they would stay English."""
    found = set()
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        value = node.value
        held = value.values if isinstance(value, ast.Dict) else [value]
        if any(isinstance(one, ast.Constant | ast.JoinedStr) and not _is_number(one) for one in held):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


def _is_constructor(call: ast.Call) -> bool:
    """Whether an error hands its sentence up: ``super().__init__("…", …)``."""
    return ast.unparse(call.func) == "super().__init__" and isinstance(call.args[0], ast.Constant | ast.IfExp)


def _is_terminal(node: ast.expr) -> bool:
    """Whether it is ``terminal.say``, which prints."""
    return isinstance(node, ast.Attribute) and _name(node.value).endswith("terminal")


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not _relative(path).startswith(ON_THE_COMMAND_LINE):
                yield path


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


if __name__ == "__main__":
    print(f"{write()} messages in {TEMPLATE.relative_to(ROOT)} and {len(LANGUAGES)} catalogues")  # noqa: T201
