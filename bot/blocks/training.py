"""The forms of ``/errata train`` and ``freeze``, the question before a run is started, and a run's details.

Pure. A plan says what it does not know; nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.blocks.costs import provider
from bot.blocks.elements import SECTION_LIMIT, Block, choice, context, modal, plain, section, text_input
from bot.blocks.hosted import hosting, notes, portal
from bot.blocks.stages import VERDICTS
from bot.mrkdwn import cut, escape, quote
from bot.speech import Say
from curation.findings import Finding, Severity
from curation.wording import Phrase, called, unpacked
from training.backends.names import TITLES, BackendName
from training.deployments import DeploymentStatus
from training.evaluation.evaluations import Verdict
from training.orders import ANYWHERE
from training.planning.confirmations import Question
from training.planning.parts import money
from training.planning.plans import Plan
from training.runs import RunStatus
from training.summaries import RunSummary

TRAIN = "train_form"
CONFIRM = "train_confirm"
FREEZE = "freeze_form"
OPEN_TRAIN = "train_open"
DETAILS = "run_details"

DATASET, MODEL, RECIPE, BACKEND = "dataset", "model", "recipe", "backend"
NAME, SHARE, SINCE = "name", "share", "since"
AS_MODEL = "default"
"""The value of the choice to train by the model's own recipe."""

OPTIONS_LIMIT = 100
OPTION_LIMIT = 75
SHOWN_FINDINGS = 8
LINE_LIMIT = 300
_FINDINGS_LIMIT = 2_800
"""Of all the lines about findings: what is cut from a section of 3,000 characters could end within an escape."""

_MINUTE, _HOUR = 60, 3600


def train_form(
    say: Say,
    *,
    datasets: Sequence[str],
    models: Sequence[str],
    recipes: Sequence[str],
    backends: Sequence[str] = (BackendName.LOCAL,),
    place: str,
    dataset: str | None,
) -> Block:
    """Which dataset, which model, which recipe, and where there is a choice, which backend; ``dataset`` is chosen."""
    chosen = choice(DATASET, say("Dataset"), _options(datasets))
    initial = [option for option in chosen["element"]["options"] if option["value"] == dataset]
    if initial:
        chosen["element"]["initial_option"] = initial[0]
    by_model = (AS_MODEL, say("The model's own"))
    places = [(name, provider(name)) for name in backends]
    where = [choice(BACKEND, say("Where"), places, optional=True)] if backends[1:] else []
    return modal(
        say,
        TRAIN,
        say("Start a run"),
        [
            chosen,
            choice(MODEL, say("Model"), _options(models)),
            choice(RECIPE, say("Recipe"), [by_model, *_options(recipes)], optional=True),
            *where,
            context(say("A rehearsal trains a toy model in minutes. Everything else asks once more before it starts.")),
        ],
        submit=say("Next"),
        metadata=place,
    )


def freeze_form(say: Say, *, place: str, share: float, name: str | None = None) -> Block:
    """The name, the share that is held out, and the day from which on."""
    since: Block = {"type": "datepicker", "action_id": "value"}
    return modal(
        say,
        FREEZE,
        say("Freeze"),
        [
            text_input(say, NAME, say("Name"), initial=name, optional=True, hint=say("Without one it is v1, v2, …")),
            text_input(
                say,
                SHARE,
                say("Held out for validation"),
                initial=f"{share:.0%}",
                hint=say("So much is never trained on, and shows whether the model has learned."),
            ),
            {
                "type": "input",
                "block_id": SINCE,
                "label": plain(say("Approved since")),
                "element": since,
                "optional": True,
                "hint": plain(say("Without a day, everything that is approved takes part.")),
            },
        ],
        submit=say("Freeze"),
        metadata=place,
    )


def question_view(say: Say, question: Question) -> Block:
    """What will be started, once more to be confirmed; where findings stand in the way, what to do about them."""
    plan = question.plan
    changes = [section(f"⚠️ *{say('Something has changed since. Look once more:')}*\n{_lines(say, question.changes)}")]
    blocks = [*(changes if question.changes else []), section(_figures(say, plan)), section(_cost(say, plan))]
    if plan.findings:
        blocks.append(section(_findings(say, plan.findings)))
    if question.id is None:
        blocks.append(section(f":x: *{say('This has to be mended before anything can be trained.')}*"))
        return modal(say, CONFIRM, say("Not yet"), blocks, submit=None)
    blocks.append(context(say("This question stands for 15 minutes and starts one run.")))
    return modal(say, CONFIRM, say("Start this run?"), blocks, submit=say("Start"), metadata=str(question.id))


def done_view(say: Say, title: str, text: str) -> Block:
    """What came of a form, in mrkdwn of our own."""
    return modal(say, "notice", title, [section(text)], submit=None)


def run_view(say: Say, summary: RunSummary) -> Block:
    """Everything about one run, to be read and closed."""
    state = RunStatus(summary.status)
    lines = [
        f"*{summary.id}*: {say(called(state))}",
        say("Dataset: {dataset}", dataset=escape(summary.dataset)),
        say("Model: {model}", model=quote(summary.model, LINE_LIMIT)),
        say("Recipe: {recipe}", recipe=escape(summary.recipe)),
        say("Asked for by {person}", person=quote(summary.requested_by, LINE_LIMIT)),
    ]
    if summary.backend in TITLES:
        lines.append(say("Where: {backend}", backend=provider(summary.backend)))
    if summary.measured:
        lines.append(say("Step {step:,} of {steps:,}", step=summary.step, steps=summary.steps))
    elif summary.step:
        lines.append(say("Step {step:,}", step=summary.step))
    if summary.curve:
        lines.append(
            say(
                "Loss: {first:.3f} at first, {last:.3f} at last",
                first=summary.curve[0].loss,
                last=summary.curve[-1].loss,
            )
        )
    if summary.money is not None:
        lines.append(say("Cost: {cost}", cost=summary.money))
    if summary.verdict:
        lines.append(say("Evaluation: {verdict}", verdict=say(VERDICTS[Verdict(summary.verdict)])))
    if summary.deployment:
        lines.append(say("Deployment: {status}", status=say(called(DeploymentStatus(summary.deployment)))))
        lines += hosting(say, summary)
    if summary.link is not None:
        lines.append(portal(say, summary.link))
    blocks = [section("\n".join(lines)), *notes(say, summary)]
    if summary.reason:
        blocks.append(section(quote(say(unpacked(summary.reason)), LINE_LIMIT)))
    return modal(say, "run", say("Run"), blocks, submit=None)


def _figures(say: Say, plan: Plan) -> str:
    sides = say(
        "{train:,} rows to train on, {validation:,} to validate with", train=plan.train, validation=plan.validation
    )
    lines = [
        say("*Dataset* {name} ({digest})", name=escape(plan.dataset), digest=plan.digest[:12]),
        sides,
        say("*Model* {model}", model=quote(plan.model, LINE_LIMIT)),
        *(_where(say, plan) if plan.paid else []),
    ]
    if plan.base is not None and plan.base != plan.model:
        lines.append(say("It starts from {base}.", base=quote(plan.base, LINE_LIMIT)))
    epochs = say.many("{count} pass over the data", "{count} passes over the data", plan.epochs)
    lines.append(say("*Recipe* {recipe}: {epochs}", recipe=escape(plan.recipe), epochs=epochs))
    if plan.tokens is None:
        lines.append(say("*Tokens* unknown: nobody has counted them with this model's tokenizer."))
    else:
        lines.append(say("*Tokens* {tokens:,} in all", tokens=plan.tokens * plan.epochs))
    return "\n".join(lines)


def _where(say: Say, plan: Plan) -> list[str]:
    """At whose place, and where on earth that is."""
    if plan.region is None:
        goes = say("*Data* the rows go to the region of the project in Azure, which the settings here do not name.")
    elif plan.region == ANYWHERE:
        goes = say("*Data* the rows go to Azure, to any of its regions.")
    else:
        goes = say("*Data* the rows go to Azure, to the region {region}.", region=escape(plan.region))
    return [say("*Where* {backend}", backend=provider(plan.backend)), goes]


def _cost(say: Say, plan: Plan) -> str:
    if plan.seconds is None:
        lasting = say("*Time* unknown: no run from this model has ended here yet.")
    else:
        lasting = say("*Time* about {time}, by the pace of earlier runs", time=duration(say, plan.seconds))
    if plan.cost is None:
        return f"{lasting}\n" + say("*Cost* no money: it takes this machine's processors, and its electricity.")
    dollars = plan.cost.dollars
    known = say("*Cost* about {dollars}", dollars=money(dollars)) if dollars is not None else say("*Cost* unknown here")
    sentences = (cut(escape(say(one)), 2 * LINE_LIMIT) for one in plan.cost.sentences())
    return cut("\n".join([lasting, known, *(f"• {one}" for one in sentences)]), SECTION_LIMIT)


def duration(say: Say, seconds: float) -> str:
    """``about`` this long, in words for a person."""
    if seconds < 2 * _MINUTE:
        return say.many("{count} second", "{count} seconds", max(1, round(seconds)))
    if seconds < 2 * _HOUR:
        return say.many("{count} minute", "{count} minutes", round(seconds / _MINUTE))
    return say.many("{count} hour", "{count} hours", round(seconds / _HOUR))


def _findings(say: Say, findings: Sequence[Finding]) -> str:
    marks = {Severity.ERROR: ":x:", Severity.WARNING: "⚠️"}
    lines: list[str] = []
    for one in findings[:SHOWN_FINDINGS]:
        told = (quote(say(words), LINE_LIMIT) for words in (one.message, one.fix))
        line = f"{marks.get(one.severity, '•')} {' '.join(told)}"
        if sum(map(len, lines)) + len(line) > _FINDINGS_LIMIT:
            break
        lines.append(line)
    more = len(findings) - len(lines)
    if more > 0:
        lines.append(say.many("… and {count:,} more", "… and {count:,} more", more))
    return "\n".join(lines)


def _lines(say: Say, sentences: Iterable[Phrase]) -> str:
    return "\n".join(f"• {escape(say(one))}" for one in sentences)


def _options(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name[:OPTION_LIMIT]) for name in list(names)[:OPTIONS_LIMIT]]
