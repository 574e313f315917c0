"""What Slack takes in the blocks that hold more than texts and elements: rich text, tables, charts, plans, alerts.

Pure. Owns the figures, from the pages of these blocks below https://docs.slack.dev/reference/block-kit/blocks and,
for what slack_sdk models, from its models. Where sources differ (a chart of 6 or of 12 series, a data table of 100
or of 200 rows) the smaller figure counts. Refuses parts of rich text that Errata does not use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.sandbox.element_limits import URL_CHARACTERS, Problems
from bot.sandbox.payloads import Json

TABLE_ROWS = 100
TABLE_COLUMNS = 20
TABLE_CHARACTERS = 10_000  # over all cells of all tables
DATA_TABLE_ROWS = 101  # the first is the header
DATA_TABLE_PAGE = 100
DATA_TABLES = 1  # of either kind in a message; for data tables guessed from tables
CHARTS = 2  # in a message
CHART_TITLE_CHARACTERS = 50
CHART_LABEL_CHARACTERS = 20
CHART_SERIES = 6
CHART_POINTS = 20
TASKS = 50
TASK_STATUSES = {"pending", "in_progress", "complete", "error"}
ALERT_LEVELS = {"default", "info", "warning", "error", "success"}
ALERT_CHARACTERS = 3000  # guessed: Slack gives none; that of a section

RICH_PARTS = {"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"}
RICH_LEAVES = {
    "broadcast": "range",
    "channel": "channel_id",
    "emoji": "name",
    "link": "url",
    "text": "text",
    "user": "user_id",
    "usergroup": "usergroup_id",
}
"""Each leaf with the key that it cannot do without."""
RICH_STYLES = {"bold", "italic", "strike", "code", "underline"}
LIST_STYLES = {"bullet", "ordered"}
CELLS = {"raw_text", "raw_number", "rich_text"}


def check_rich_text(problems: Problems, path: str, block: Any) -> None:
    """Note what is wrong with a ``rich_text`` block or with a cell, detail or output that is one."""
    if not isinstance(block, dict) or block.get("type") != "rich_text":
        problems.note(f"{path}: a rich_text object is required")
        return
    for place, part in enumerate(problems.count(f"{path}.elements", block.get("elements"), 1000)):
        _check_rich_part(problems, f"{path}.elements[{place}]", part)


def _check_rich_part(problems: Problems, path: str, part: Json) -> None:
    if not problems.one_of(f"{path}.type", part.get("type"), RICH_PARTS):
        return
    held = problems.count(f"{path}.elements", part.get("elements"), 1000, least=0)
    if part["type"] != "rich_text_list":
        for place, leaf in enumerate(held):
            _check_leaf(problems, f"{path}.elements[{place}]", leaf)
        return
    problems.one_of(f"{path}.style", part.get("style"), LIST_STYLES)
    for place, item in enumerate(held):
        if problems.one_of(f"{path}.elements[{place}].type", item.get("type"), {"rich_text_section"}):
            _check_rich_part(problems, f"{path}.elements[{place}]", item)


def _check_leaf(problems: Problems, path: str, leaf: Json) -> None:
    if not problems.one_of(f"{path}.type", leaf.get("type"), RICH_LEAVES):
        return
    needed = RICH_LEAVES[leaf["type"]]
    problems.length(f"{path}.{needed}", leaf.get(needed), URL_CHARACTERS if needed == "url" else 1_000_000)
    style = leaf.get("style", {})
    if not isinstance(style, dict):
        problems.note(f"{path}.style: an object is required")
        return
    problems.found += [f"{path}.style: invalid additional property: {name}" for name in set(style) - RICH_STYLES]
    problems.found += [
        f"{path}.style.{name}: true or false is required" for name, on in style.items() if not isinstance(on, bool)
    ]


def check_table(problems: Problems, path: str, block: Json) -> None:
    """Note what is wrong with a ``table``; its cells may be empty in no way but by an empty text."""
    rows = block.get("rows")
    if not isinstance(rows, list) or not 1 <= len(rows) <= TABLE_ROWS:
        problems.note(f"{path}.rows: Slack takes 1 to {TABLE_ROWS} rows")
        return
    _check_cells(problems, f"{path}.rows", rows, CELLS)
    if len(block.get("column_settings", [])) > TABLE_COLUMNS:
        problems.note(f"{path}.column_settings: Slack takes {TABLE_COLUMNS}")


def check_data_table(problems: Problems, path: str, block: Json) -> None:
    """Note what is wrong with a ``data_table``: a header of plain texts, then rows of the same length."""
    problems.length(f"{path}.caption", block.get("caption"), 1_000_000)
    rows = block.get("rows")
    if not isinstance(rows, list) or not 2 <= len(rows) <= DATA_TABLE_ROWS:  # noqa: PLR2004  # a header and a row
        problems.note(f"{path}.rows: Slack takes 2 to {DATA_TABLE_ROWS} rows, the header among them")
        return
    _check_cells(problems, f"{path}.rows", rows[:1], CELLS - {"rich_text"})
    _check_cells(problems, f"{path}.rows", rows[1:], CELLS, first=1)
    if len({len(row) for row in rows if isinstance(row, list)}) > 1:
        problems.note(f"{path}.rows: all rows must have the same number of cells")
    size = block.get("page_size", 5)
    if not isinstance(size, int) or not 1 <= size <= DATA_TABLE_PAGE:
        problems.note(f"{path}.page_size: Slack takes 1 to {DATA_TABLE_PAGE}")


def _check_cells(problems: Problems, path: str, rows: list[Any], allowed: set[str], *, first: int = 0) -> None:
    for number, row in enumerate(rows, start=first):
        for place, cell in enumerate(problems.count(f"{path}[{number}]", row, TABLE_COLUMNS)):
            where = f"{path}[{number}][{place}]"
            if not problems.one_of(f"{where}.type", cell.get("type"), allowed):
                continue
            if cell["type"] == "rich_text":
                check_rich_text(problems, where, cell)
            else:
                problems.length(f"{where}.text", cell.get("text"), TABLE_CHARACTERS)
            if cell["type"] == "raw_number" and not isinstance(cell.get("value"), (int, float)):
                problems.note(f"{where}.value: a number is required")


def check_task_card(problems: Problems, path: str, card: Json) -> None:
    """Note what is wrong with a ``task_card``, on its own or within a plan."""
    for name in ("task_id", "title"):
        problems.length(f"{path}.{name}", card.get(name), 1_000_000)
    problems.one_of(f"{path}.status", card.get("status"), TASK_STATUSES)
    for name in ("details", "output"):
        if name in card:
            check_rich_text(problems, f"{path}.{name}", card[name])
    for place, source in enumerate(problems.count(f"{path}.sources", card.get("sources", []), 1000, least=0)):
        where = f"{path}.sources[{place}]"
        problems.one_of(f"{where}.type", source.get("type"), {"url"})
        problems.length(f"{where}.url", source.get("url"), URL_CHARACTERS)
        problems.length(f"{where}.text", source.get("text"), 1_000_000)


def check_plan(problems: Problems, path: str, block: Json) -> None:
    """Note what is wrong with a ``plan``: a plain title and task cards with ids of their own."""
    problems.length(f"{path}.title", block.get("title"), 1_000_000)
    tasks = problems.count(f"{path}.tasks", block.get("tasks", []), TASKS, least=0)
    problems.unique(f"{path}.tasks", "task_id", tasks)
    for place, card in enumerate(tasks):
        problems.one_of(f"{path}.tasks[{place}].type", card.get("type", "task_card"), {"task_card"})
        check_task_card(problems, f"{path}.tasks[{place}]", card)


def check_alert(problems: Problems, path: str, block: Json) -> None:
    """Note what is wrong with an ``alert``."""
    problems.text(f"{path}.text", block.get("text"), ALERT_CHARACTERS)
    problems.one_of(f"{path}.level", block.get("level", "default"), ALERT_LEVELS)


def check_chart(problems: Problems, path: str, block: Json) -> None:
    """Note what is wrong with a ``data_visualization``: a pie of segments, or series over shared categories."""
    problems.length(f"{path}.title", block.get("title"), CHART_TITLE_CHARACTERS)
    chart = block.get("chart")
    if not isinstance(chart, dict):
        problems.note(f"{path}.chart: an object is required")
        return
    if not problems.one_of(f"{path}.chart.type", chart.get("type"), {"pie", "bar", "area", "line"}):
        return
    if chart["type"] == "pie":
        segments = problems.count(f"{path}.chart.segments", chart.get("segments"), CHART_SERIES)
        _check_points(problems, f"{path}.chart.segments", segments, positive=True)
    else:
        _check_series(problems, f"{path}.chart", chart)


def _check_series(problems: Problems, path: str, chart: Json) -> None:
    axis = chart.get("axis_config") or {}
    categories = axis.get("categories")
    if not isinstance(categories, list) or not 1 <= len(categories) <= CHART_POINTS:
        problems.note(f"{path}.axis_config.categories: Slack takes 1 to {CHART_POINTS}")
        return
    for place, category in enumerate(categories):
        problems.length(f"{path}.axis_config.categories[{place}]", category, CHART_LABEL_CHARACTERS)
    for name in ("x_label", "y_label"):
        if name in axis:
            problems.length(f"{path}.axis_config.{name}", axis[name], CHART_TITLE_CHARACTERS)
    series = problems.count(f"{path}.series", chart.get("series"), CHART_SERIES)
    if len({str(one.get("name")) for one in series}) < len(series):
        problems.note(f"{path}.series: each needs a name of its own")
    for place, one in enumerate(series):
        where = f"{path}.series[{place}]"
        problems.length(f"{where}.name", one.get("name"), CHART_LABEL_CHARACTERS)
        points = problems.count(f"{where}.data", one.get("data"), CHART_POINTS)
        _check_points(problems, f"{where}.data", points)
        if [point.get("label") for point in points] != categories:
            problems.note(f"{where}.data: one point for each category, in the same order, is required")


def _check_points(problems: Problems, path: str, points: list[Json], *, positive: bool = False) -> None:
    for place, point in enumerate(points):
        problems.length(f"{path}[{place}].label", point.get("label"), CHART_LABEL_CHARACTERS)
        value = point.get("value")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or (positive and value <= 0):
            problems.note(f"{path}[{place}].value: a {'positive ' if positive else ''}number is required")


CHECKS: dict[str, Callable[[Problems, str, Json], None]] = {
    "alert": check_alert,
    "data_table": check_data_table,
    "data_visualization": check_chart,
    "plan": check_plan,
    "rich_text": check_rich_text,
    "table": check_table,
    "task_card": check_task_card,
}
