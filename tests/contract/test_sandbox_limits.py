"""What the sandbox takes in a message or view is what Slack takes."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.models import blocks as sdk
from slack_sdk.models.views import View

from bot.sandbox import block_keys, limits
from bot.sandbox.errors import ApiRefusal

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(characters: int) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * characters}}


def button(**changes: Any) -> Json:
    return {"type": "button", "action_id": "approve", "text": plain("Approve"), **changes}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def select(count: int, kind: str = "static_select", **changes: Any) -> Json:
    options = [{"text": plain(f"Option {place}"), "value": str(place)} for place in range(count)]
    return {"type": kind, "action_id": "choose", "options": options, **changes}


def field(element: Json) -> Json:
    return {"type": "input", "label": plain("Reply"), "element": element}


IMAGE = {"type": "image", "image_url": "https://example.com/loss.png", "alt_text": "Loss falls from 2 to 1."}
TEXT_INPUT = {"type": "plain_text_input", "action_id": "reply", "max_length": 3000}
FEEDBACK = {
    "type": "feedback_buttons",
    "action_id": "rate",
    "positive_button": {"text": plain("Good"), "value": "good"},
    "negative_button": {"text": plain("Bad"), "value": "bad"},
}


def cell(text: str) -> Json:
    return {"type": "raw_text", "text": text}


def rich(*leaves: Json) -> Json:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(leaves)}]}


DIFF = rich({"type": "text", "text": "a year", "style": {"strike": True}}, {"type": "text", "text": " 30 days"})
TABLE = {"type": "table", "rows": [[cell("x")]]}
DATA_TABLE = {
    "type": "data_table",
    "caption": "The queue",
    "page_size": 100,
    "rows": [[cell("Question"), cell("Waits")], *([[DIFF, {"type": "raw_number", "value": 3, "text": "3 d"}]] * 100)],
}
TASK = {"type": "task_card", "task_id": "train", "title": "Train", "status": "in_progress", "details": DIFF}
PLAN = {"type": "plan", "title": "Run 7", "tasks": [TASK, {"task_id": "judge", "title": "Judge", "status": "pending"}]}
ALERT = {"type": "alert", "text": plain("Somebody else is reviewing this."), "level": "warning"}
POINTS = [{"label": "1", "value": 2.5}, {"label": "2", "value": 1}]
CHART = {
    "type": "data_visualization",
    "title": "Loss",
    "chart": {"type": "line", "series": [{"name": "Loss", "data": POINTS}], "axis_config": {"categories": ["1", "2"]}},
}
PIE = {"type": "data_visualization", "title": "Reasons", "chart": {"type": "pie", "segments": POINTS}}
NUMBER = {"type": "number_input", "action_id": "epochs", "is_decimal_allowed": False, "min_value": "1"}
EVERY_BLOCK = [
    section(3000),
    {"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 20}] * 10, "accessory": IMAGE},
    {"type": "divider"},
    {"type": "header", "text": plain("x" * 150)},
    IMAGE,
    actions(button(), select(100), select(5, "overflow", action_id="more")),
    {"type": "context", "elements": [plain("From thread"), IMAGE]},
    {"type": "context_actions", "elements": [FEEDBACK]},
    {"type": "markdown", "text": "**bold**"},
    {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]},
    field(TEXT_INPUT),
    field(select(10, "checkboxes")),
    {"type": "card", "title": plain("x" * 150), "body": plain("x" * 200), "icon": IMAGE, "actions": [button()]},
    {"type": "table", "rows": [[cell("x")] * 20] * 100},
    *(DIFF, TASK, PLAN, CHART, PIE, field(NUMBER)),
]


def test_every_block_that_errata_uses_is_taken_at_its_limit() -> None:
    limits.check_message({"text": "x" * 40_000, "blocks": EVERY_BLOCK})


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (section(3010), "blocks[0].text.text: 3,010 characters; Slack takes 3,000"),
        ({"type": "section"}, "blocks[0]: a section needs text or fields"),
        ({"type": "header", "text": plain("x" * 151)}, "blocks[0].text.text: 151 characters; Slack takes 150"),
        ({"type": "carousel"}, "blocks[0].type: 'carousel' is not one of"),
        ({**IMAGE, "alt_text": ""}, "blocks[0].alt_text: must not be empty"),
        (actions(), "blocks[0].elements: 0 items; Slack takes 1 to 25"),
        (actions(button(), button()), "blocks[0]: action_id 'approve' is used twice"),
        (actions(button(text=plain("x" * 76))), "blocks[0].elements[0].text.text: 76 characters; Slack takes 75"),
        (actions(button(value="x" * 2001)), "blocks[0].elements[0].value: 2,001 characters; Slack takes 2,000"),
        (actions(TEXT_INPUT), "blocks[0].elements[0].type: 'plain_text_input' is not one of"),
        (actions(select(101)), "blocks[0].elements[0].options: 101 items; Slack takes 1 to 100"),
        (actions(select(6, "overflow")), "blocks[0].elements[0].options: 6 items; Slack takes 1 to 5"),
        (field(select(11, "radio_buttons")), "blocks[0].element.options: 11 items; Slack takes 1 to 10"),
        (
            actions(select(2, initial_option={"text": plain("Gone"), "value": "9"})),
            "blocks[0].elements[0]: initial option '9' is not on offer",
        ),
        (field({**TEXT_INPUT, "max_length": 3001}), "blocks[0].element.max_length: 3,001; Slack takes 1 to 3,000"),
        (
            field({**TEXT_INPUT, "max_length": 5, "initial_value": "longer"}),
            "blocks[0].element.initial_value: 6 characters; Slack takes 5",
        ),
        (actions(button(disabled=True)), "blocks[0].elements[0]: invalid additional property: disabled"),
        ({"type": "divider", "text": "---"}, "blocks[0]: invalid additional property: text"),
        (
            {"type": "header", "text": {**plain("Loss"), "verbatim": True}},
            "blocks[0].text: invalid additional property: verbatim",
        ),
        (
            actions({**select(1), "options": [{"type": "option", "text": plain("One"), "value": "1"}]}),
            "blocks[0].elements[0].options[0]: invalid additional property: type",
        ),
        (actions(button(action_id="x" * 256)), "blocks[0].action_id: 256 characters; Slack takes 255"),
        (field({**TEXT_INPUT, "action_id": "x" * 256}), "blocks[0].element.action_id: 256 characters; Slack takes 255"),
        ({"type": "card", "title": plain("x" * 151)}, "blocks[0].title.text: 151 characters; Slack takes 150"),
        ({"type": "card", "body": plain("x" * 201)}, "blocks[0].body.text: 201 characters; Slack takes 200"),
        ({"type": "card", "subtitle": plain("x")}, "blocks[0]: a card needs at least one of"),
        ({"type": "table", "rows": [[]] * 101}, "blocks[0].rows: Slack takes 1 to 100 rows"),
        ({"type": "table", "rows": [[{}] * 21]}, "blocks[0].rows[0]: 21 items; Slack takes 1 to 20"),
        ({"type": "context", "elements": [plain("x")] * 11}, "blocks[0].elements: 11 items; Slack takes 1 to 10"),
        ({"type": "table", "rows": [[{"type": "mrkdwn", "text": "x"}]]}, "blocks[0].rows[0][0].type: 'mrkdwn' is not"),
        ({"type": "table", "rows": [[cell("")]]}, "blocks[0].rows[0][0].text: must not be empty"),
        ({**DATA_TABLE, "rows": DATA_TABLE["rows"][:1]}, "blocks[0].rows: Slack takes 2 to 101 rows"),
        ({**DATA_TABLE, "rows": [[DIFF], [cell("x")]]}, "blocks[0].rows[0][0].type: 'rich_text' is not one of"),
        ({**DATA_TABLE, "rows": [[cell("x")], [cell("x")] * 2]}, "blocks[0].rows: all rows must have the same number"),
        ({**DATA_TABLE, "caption": ""}, "blocks[0].caption: must not be empty"),
        ({**DATA_TABLE, "page_size": 101}, "blocks[0].page_size: Slack takes 1 to 100"),
        ({**CHART, "title": "x" * 51}, "blocks[0].title: 51 characters; Slack takes 50"),
        ({**PIE, "chart": {"type": "pie", "segments": POINTS * 4}}, "blocks[0].chart.segments: 8 items; Slack takes 1"),
        (
            {**CHART, "chart": {**CHART["chart"], "axis_config": {"categories": ["1", "3"]}}},
            "blocks[0].chart.series[0].data: one point for each category",
        ),
        (rich({"type": "text", "text": ""}), "blocks[0].elements[0].elements[0].text: must not be empty"),
        (
            rich({"type": "text", "text": "x", "style": {"strikethrough": True}}),
            "blocks[0].elements[0].elements[0].style: invalid additional property: strikethrough",
        ),
        (rich({"type": "mrkdwn", "text": "x"}), "blocks[0].elements[0].elements[0].type: 'mrkdwn' is not one of"),
        ({**TASK, "status": "done"}, "blocks[0].status: 'done' is not one of"),
        ({**TASK, "details": plain("x")}, "blocks[0].details: a rich_text object is required"),
        ({**PLAN, "tasks": [TASK, TASK]}, "blocks[0].tasks: task_id 'train' is used twice"),
        ({**PLAN, "title": plain("Run 7")}, "blocks[0].title: a text is required"),
        (ALERT, "blocks[0].type: 'alert' is not one of"),
        (
            field({"type": "datepicker", "action_id": "since", "initial_date": "21.11.2026"}),
            "blocks[0].element.initial_date: ",
        ),
        (field({**NUMBER, "min_value": 1}), "blocks[0].element.min_value: 1 is no number written as a text"),
        (field({**NUMBER, "initial_value": "0"}), "blocks[0].element.initial_value: 0 is out of range"),
        (field({**NUMBER, "initial_value": "1.5"}), "blocks[0].element.initial_value: '1.5' is no number"),
        (actions(button(confirm={"title": plain("Sure?")})), "blocks[0].elements[0].confirm.text: a text object is"),
        (
            actions(button(confirm={**{part: plain("x" * 31) for part in ("title", "text", "confirm")}, "deny": None})),
            "blocks[0].elements[0].confirm.confirm.text: 31 characters; Slack takes 30",
        ),
        (field(select(3, "checkboxes", initial_options=[])), "blocks[0].element.initial_options: must not be empty"),
        (actions(select(3, "multi_static_select")), "blocks[0].elements[0].type: 'multi_static_select' is not one of"),
    ],
)
def test_a_block_beyond_slack_s_limits_is_refused_with_the_path_to_it(block: Json, reason: str) -> None:
    with pytest.raises(ApiRefusal) as refused:
        limits.check_message({"blocks": [block]})
    assert refused.value.code == "invalid_blocks"
    assert refused.value.messages[0].startswith(reason)


def test_a_block_id_may_not_be_used_twice() -> None:
    with pytest.raises(ApiRefusal, match="invalid_blocks") as refused:
        limits.check_message({"blocks": [section(1) | {"block_id": "one"}, section(1) | {"block_id": "one"}]})
    assert refused.value.messages == ("blocks: block_id 'one' is used twice",)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"blocks": [section(2700)] * 5}, "msg_blocks_too_long"),
        ({"blocks": [{"type": "markdown", "text": "x" * 6001}] * 2}, "invalid_blocks"),
        ({"text": "x", "metadata": {"event_payload": {}}}, "invalid_metadata_format"),
        ({"blocks": [TABLE] * 2}, "invalid_attachments"),
        ({"blocks": [TABLE, DATA_TABLE]}, "invalid_attachments"),
        ({"blocks": [{**TABLE, "rows": [[cell("x" * 101)] * 20] * 5}]}, "invalid_blocks"),
        ({"blocks": [CHART] * 3}, "invalid_blocks"),
    ],
)
def test_a_message_that_is_too_much_altogether_is_refused(content: Json, code: str) -> None:
    with pytest.raises(ApiRefusal) as refused:
        limits.check_message(content)
    assert refused.value.code == code


def modal(**changes: Any) -> Json:
    return {
        "type": "modal",
        "title": plain("Correct"),
        "submit": plain("Send"),
        "blocks": [field(TEXT_INPUT)],
        **changes,
    }


@pytest.mark.parametrize(
    ("view", "code", "reason"),
    [
        (modal(title=plain("x" * 25)), "invalid_arguments", "view.title.text: 25 characters; Slack takes 24"),
        (modal(submit=None), "invalid_arguments", "view.submit: required in a modal with input blocks"),
        (
            modal(private_metadata="x" * 3001),
            "invalid_arguments",
            "view.private_metadata: 3,001 characters; Slack takes 3,000",
        ),
        (
            modal(blocks=[{"type": "markdown", "text": "x"}]),
            "invalid_arguments",
            "view.blocks[0].type: 'markdown' is not one of",
        ),
        (
            modal(blocks=[{"type": "divider"}] * 101),
            "invalid_arguments",
            "view.blocks: 101 items; Slack takes 0 to 100",
        ),
        (modal(blocks=[section(2999)] * 90), "view_too_large", "view: 27"),
        (modal(colour="red"), "invalid_arguments", "view: invalid additional property: colour"),
        (
            modal(blocks=[{**field(TEXT_INPUT), "required": True}]),
            "invalid_arguments",
            "view.blocks[0]: invalid additional property: required",
        ),
        (modal(blocks=[PLAN]), "invalid_arguments", "view.blocks[0].type: 'plan' is not one of"),
        (modal(blocks=[TABLE]), "invalid_arguments", "view.blocks[0].type: 'table' is not one of"),
        (modal(blocks=[DATA_TABLE]), "invalid_arguments", "view.blocks[0].type: 'data_table' is not one of"),
        (
            modal(blocks=[{**ALERT, "level": "fatal"}]),
            "invalid_arguments",
            "view.blocks[0].level: 'fatal' is not one of",
        ),
        (
            modal(blocks=[field({**TEXT_INPUT, "focus_on_load": True})] * 2),
            "invalid_arguments",
            "view.blocks: focus_on_load: only one element",
        ),
        ({"type": "home", "blocks": []}, "invalid_arguments", "view.type: 'home' is not one of modal"),
    ],
)
def test_a_modal_beyond_slack_s_limits_is_refused(view: Json, code: str, reason: str) -> None:
    with pytest.raises(ApiRefusal) as refused:
        limits.check_view(view, kind="modal")
    assert refused.value.code == code
    assert refused.value.messages[0].startswith(reason)


def test_a_modal_within_slack_s_limits_is_taken() -> None:
    limits.check_view(modal(), kind="modal")
    chosen = field(select(3, "multi_static_select", max_selected_items=2))
    limits.check_view(
        modal(blocks=[ALERT, DIFF, chosen, field(NUMBER), field(select(10, "radio_buttons"))]), kind="modal"
    )


def test_a_data_table_is_taken_with_a_hundred_rows() -> None:
    limits.check_message({"text": "The queue", "blocks": [DATA_TABLE]})


def sdk_keys(*models: type[Any]) -> dict[str, set[str]]:
    """The keys that slack_sdk writes, by type: of the classes that are not themselves a base of others."""
    return {model.type: set(object.__new__(model).attributes) - {"type"} for model in models}


def test_the_known_keys_are_those_of_slack_s_own_python_models() -> None:
    ours = {kind: keys | {"block_id"} for kind, keys in block_keys.BLOCK_KEYS.items()}
    theirs = sdk_keys(
        *(sdk.ActionsBlock, sdk.CardBlock, sdk.ContextBlock, sdk.ContextActionsBlock, sdk.DividerBlock, sdk.FileBlock),
        *(sdk.HeaderBlock, sdk.ImageBlock, sdk.InputBlock, sdk.MarkdownBlock, sdk.RichTextBlock, sdk.SectionBlock),
        *(sdk.AlertBlock, sdk.PlanBlock, sdk.TableBlock, sdk.TaskCardBlock),
    )
    unmodelled = {"data_table", "data_visualization"}
    assert ours == theirs | {kind: ours[kind] for kind in unmodelled}
    assert not unmodelled & theirs.keys()
    elements = sdk_keys(
        *(sdk.ButtonElement, sdk.CheckboxesElement, sdk.FeedbackButtonsElement, sdk.IconButtonElement),
        *(sdk.ImageElement, sdk.OverflowMenuElement, sdk.PlainTextInputElement, sdk.RadioButtonsElement),
        *(sdk.StaticSelectElement, sdk.StaticMultiSelectElement, sdk.ExternalDataSelectElement, sdk.UserSelectElement),
        *(sdk.ChannelSelectElement, sdk.ConversationSelectElement, sdk.NumberInputElement),
        sdk.DatePickerElement,
    )
    assert set(elements) == set(block_keys.ELEMENT_KEYS)
    for kind, keys in block_keys.ELEMENT_KEYS.items():
        assert keys <= elements[kind], kind
    assert block_keys.VIEW_KEYS - {"submit_disabled"} <= View.attributes
