"""Which functions are called to change the database: read from the code, so that a new one is noticed.

A unit of work begins where somebody opens it: ``with store.write() as session``. Whatever is given that session there,
and writes, is a use case. Reading code cannot know every call, so this errs on the side of finding too much: a method
that is given a session is any method of that name, and whoever sets an attribute may be changing a row.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("curation", "training", "bot")
OPENERS = {"write", "write_rows", "aside"}
"""The store's methods that begin a unit of work."""

BESIDE = ("curation.audit.", "curation.notices.", "curation.store.", "curation.wording.")
"""What a use case calls for its change: for its entry, messages owed about it, how any row is written, and words."""

_UNITS = {"session", "connection", "work"}
_ADDERS = {"add", "add_all", "delete", "merge"}
_STATEMENTS = {"insert", "update", "delete", "insert_row", "insert_rows", "setattr"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """A module's functions by their names in it (``grant``, ``Desk.meet``), its imports, and its own statements."""

    name: str
    functions: dict[str, Function] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)


@cache
def modules() -> dict[str, Module]:
    """Every module of ours by its name."""
    return {module.name: module for module in map(_module, _files())}


@cache
def use_cases() -> frozenset[str]:
    """The functions that are given a unit of work by whoever opened it, and write; by their full names.

    A function that writes in the unit that it opens is one itself. A function of the bot that only hands the unit on
    is none: what it calls is.
    """
    found: set[str] = set()
    for module in modules().values():
        for name, function in module.functions.items():
            for unit, block in _units(function):
                found |= _given(module, name, unit, block) & writing()
                if _changes(block):
                    found.add(f"{module.name}.{name}")
        found |= _handed_over(module) & writing()
    while go_betweens := {one for one in found if one.startswith("bot.") and not _changes([_function(one)])}:
        found -= go_betweens
        for one in go_betweens:
            module, name = _place(one)
            found |= _given(module, name, "session", module.functions[name].body) & writing()
    return frozenset(found)


@cache
def writing() -> frozenset[str]:
    """Every function that changes rows itself or through others, by its full name."""
    writing = {
        f"{module.name}.{name}"
        for module in modules().values()
        for name, function in module.functions.items()
        if not f"{module.name}.{name}".startswith(BESIDE) and _changes([function])
    }
    while True:
        grown = {
            one
            for one, called in _called_by().items()
            if one not in writing and not one.startswith(BESIDE) and called & writing
        }
        if not grown:
            return frozenset(writing)
        writing |= grown


@cache
def past_the_store() -> frozenset[str]:
    """The functions that reach a database without the store's units of work."""
    doors = {"raw_connection", "begin", "create_engine", "sessionmaker"}
    return frozenset(
        f"{module.name}.{name}"
        for module in modules().values()
        for name, function in module.functions.items()
        for call in _calls([function])
        if (isinstance(call.func, ast.Attribute) and call.func.attr in doors)
        or ast.unparse(call.func) in {"sqlite3.connect", "Session", *doors}
    )


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):  # those inside of functions as well
        if isinstance(node, ast.ImportFrom):
            module.imports |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            module.imports |= {one.asname or one.name: one.name for one in node.names}
    for node in tree.body:
        if isinstance(node, Function):
            module.functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            module.functions |= {f"{node.name}.{one.name}": one for one in node.body if isinstance(one, Function)}
        else:
            module.statements.append(node)
    return module


@cache
def _within(node: ast.AST) -> tuple[ast.AST, ...]:
    """The node and everything in it; every look goes through it again."""
    return tuple(ast.walk(node))


def _units(function: Function) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The units of work that a function opens, or writes an inner function for: its name for each, and what is done."""
    for node in _within(function):
        if isinstance(node, ast.With):
            for item in node.items:
                opened, named = item.context_expr, item.optional_vars
                if not (isinstance(opened, ast.Call) and isinstance(opened.func, ast.Attribute) and not opened.args):
                    continue
                if opened.func.attr in OPENERS and isinstance(named, ast.Name):
                    yield named.id, node.body
        elif isinstance(node, ast.Lambda) and "session" in _parameters(node):
            yield "session", [ast.Expr(node.body)]
        elif isinstance(node, Function) and node is not function and "session" in _parameters(node):
            yield "session", node.body


def _given(module: Module, caller: str, unit: str, block: list[ast.stmt]) -> set[str]:
    """The functions of ours that are called with the unit of work; messages that are owed do not count."""
    return {
        target
        for call in _calls(block)
        if any(isinstance(one, ast.Name) and one.id == unit for one in _arguments(call))
        for target in _targets(module, caller, call)
        if not target.startswith(BESIDE)
    }


def _handed_over(module: Module) -> set[str]:
    """The functions of ours with a session that are named without being called: somebody else will call them."""
    nodes = [*module.statements, *module.functions.values()]
    called = {id(call.func) for call in _calls(nodes)}
    named = (one for node in nodes for one in _within(node) if isinstance(one, (ast.Name, ast.Attribute)))
    return {
        one
        for node in named
        if id(node) not in called and (isinstance(node, ast.Name) or ast.unparse(node.value) in module.imports)
        for one in _targets(module, "", ast.Call(node, [], []))
        if "session" in _parameters(_function(one)) and not one.startswith(BESIDE)
    }


def _place(full: str) -> tuple[Module, str]:
    """The module of a function, and its name there."""
    owner, _, name = full.rpartition(".")
    while owner not in modules():
        owner, _, rest = owner.rpartition(".")
        name = f"{rest}.{name}"
    return modules()[owner], name


def _function(full: str) -> Function:
    module, name = _place(full)
    return module.functions[name]


def _calls(nodes: Sequence[ast.stmt]) -> Iterator[ast.Call]:
    return (one for node in nodes for one in _within(node) if isinstance(one, ast.Call))


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _parameters(function: Function | ast.Lambda) -> set[str]:
    given = function.args
    return {one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def _targets(module: Module, caller: str, call: ast.Call) -> set[str]:
    """The functions of ours that a call may mean."""
    match call.func:
        case ast.Name(id=name):
            return _named(f"{module.name}.{name}")
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if "." in caller:
            own = f"{module.name}.{caller.partition('.')[0]}.{name}"
            return {own} if name in {one.rpartition(".")[2] for one in module.functions} else set()
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in module.imports:
            return _named(f"{module.imports[owner]}.{name}")
        case ast.Attribute(attr=name) if {ast.unparse(one) for one in _arguments(call)} & _UNITS:
            return {
                f"{one.name}.{method}"
                for one in modules().values()
                for method in one.functions
                if method.endswith(f".{name}")
            }
    return set()


def _named(full: str) -> set[str]:
    """The function behind a name, wherever it is imported from."""
    owner, _, name = full.rpartition(".")
    while (module := modules().get(owner)) is not None:
        if name in module.functions:
            return {f"{owner}.{name}"}
        if name not in module.imports or f"{owner}.{name}" in modules():  # a package names a module of its own
            return set()
        owner, _, name = module.imports[name].rpartition(".")
    return set()


def _changes(block: Sequence[ast.stmt]) -> bool:
    """Whether rows are changed right here."""
    for node in block:
        for one in _within(node):
            if isinstance(one, (ast.Assign, ast.AugAssign)):
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                if any(_is_of_a_row(target) for target in targets):
                    return True
            elif isinstance(one, ast.Call):
                match one.func:
                    case ast.Name(id=name) if name in _STATEMENTS:
                        return True
                    case ast.Attribute(value=ast.Name(id="session"), attr=name) if name in _ADDERS:
                        return True
                    case ast.Attribute(attr="change"):
                        return True
                    case ast.Attribute(value=ast.Name(id="audit"), attr="record"):
                        return True
    return False


def _is_of_a_row(target: ast.expr) -> bool:
    match target:
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return False
        case ast.Attribute():
            return True
        case ast.Tuple(elts=parts):
            return any(_is_of_a_row(part) for part in parts)
    return False


@cache
def _called_by() -> dict[str, frozenset[str]]:
    """Of every function, those that it may call."""
    return {
        f"{module.name}.{name}": frozenset(
            target for call in _calls([function]) for target in _targets(module, name, call)
        )
        for module in modules().values()
        for name, function in module.functions.items()
    }
