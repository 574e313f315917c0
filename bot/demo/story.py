"""The demo's story: from one wrong reply to a deployed, better model, told while it happens.

Owns the order of events and what is said about them. Everything is done the way people do it: by
shortcuts, forms, buttons and ``/errata``; only the waiting looks into the database.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from bot.blocks import runs as run_blocks
from bot.demo.cast import Cast, staged
from bot.demo.colleagues import approve, correct, endorse, open_review, review_all, wait
from bot.demo.production import Production
from bot.demo.report import new_folder, write_report
from bot.demo.screen import draw
from bot.sandbox.sample_workspace import SampleVerdict, SampleWorkspace, load_sample
from bot.speech import ENGLISH_SPOKEN
from curation import assistants, examples
from curation.datasets import dataset
from curation.datasets.dataset import Item
from curation.errors import Invalid, Unavailable
from curation.formats import exports
from curation.formats.format import Format
from curation.policies import RoleName
from curation.wording import unpacked
from training import runs
from training.backends.addresses import within
from training.evaluation.evaluations import Case
from training.runs import RunStatus
from training.summaries import RunSummary, of_run

DATASET = "support-v1"
HELD_OUT = "5%"  # of sixty examples a toy model needs nearly all
RUN_SECONDS = 600
MAX_CORRECTION = 1000


@dataclass
class Story:
    """One telling.

    Attributes:
        transcript: every line that was told, plain.
        headless: nothing waits for the reader.
    """

    cast: Cast
    console: Console
    headless: bool
    transcript: list[str] = field(default_factory=list)

    def tell(self, who: str, what: str) -> None:
        """Say that somebody did or said something."""
        self.transcript.append(f"{who}: {what}")
        self.console.print(f"[bold]{who:>10}[/bold]  ", end="")
        self.console.print(what, markup=False, highlight=False)
        if not self.headless:
            time.sleep(0.4)

    def show(self, title: str, blocks: list[dict[str, Any]], values: Mapping[str, str] | None = None) -> None:
        """Draw what somebody sees in Slack."""
        self.console.print(draw(title, blocks, values=values))

    def chapter(self, title: str) -> None:
        """Begin a new part."""
        self.transcript.append(f"# {title}")
        self.console.rule(title, align="left")


def run_demo(
    *,
    headless: bool,
    out: Path,
    correction: str | None = None,
    sample: Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Play the whole loop and return the report that is written to ``out/report.json``.

    Args:
        correction: replaces the correction of the opening conversation.
        sample: a folder with a sample workspace of one's own.

    Raises:
        Invalid: the correction is empty or too long, the sample is not one, or ``out`` holds other files.
        Unavailable: a process did not start, or a run failed.
    """
    workspace = with_correction(load_sample(sample), correction)
    folder = new_folder(out)
    with staged(workspace, folder) as cast:
        story = Story(cast, console or Console(), headless)
        production = Production(folder, workspace)
        production.start()
        first_minute(story)
        the_rest(story)
        production.wait(story.console)
        story.tell(
            "Production",
            f"a toy model has learned the sample by heart, its mistakes included ({production.seconds:.0f} s)",
        )
        run = tune(story, "production rehearsal-tune")
        summary = evaluated(story, run)
        endpoint_reply = _deploy(story, summary)
        report = write_report(folder, cast, summary, endpoint_reply, story.transcript)
    story.console.print(f"\nEverything is in {folder}: report.json, the dataset, the loss curve, the run's files.")
    return report


def with_correction(sample: SampleWorkspace, correction: str | None) -> SampleWorkspace:
    """The sample with another correction in its opening conversation, where one is given.

    Raises:
        Invalid: it is empty or too long.
    """
    if correction is None:
        return sample
    correction = correction.strip()
    if not correction or len(correction) > MAX_CORRECTION:
        raise Invalid(f"--correction takes 1 to {MAX_CORRECTION} characters; this one has {len(correction)}.")
    conversations = tuple(
        replace(conversation, correction=correction) if conversation.first else conversation
        for conversation in sample.conversations
    )
    return replace(sample, conversations=conversations)


def first_minute(story: Story) -> None:
    """One flag, its form, the approval, the line of JSONL."""
    cast = story.cast
    first = next(conversation for conversation in cast.sample.conversations if conversation.first)
    agent = cast.staff_with(RoleName.AGENT, first.language)
    reviewer = cast.staff_with(RoleName.REVIEWER, first.language)
    story.chapter("The first minute: one wrong reply")
    story.tell(first.customer, first.turns[-2].text)
    story.tell(cast.sample.assistant_name, first.reply)
    story.tell(agent.name, "presses “Correct this reply”")
    modal = correct(cast, agent, first)
    story.show(f"What {agent.name} sees", modal["blocks"], {"correction": str(first.correction)})
    story.tell(agent.name, f"writes: {first.correction}")
    queue, review = open_review(cast, reviewer)
    story.show("The message in the channel", queue["blocks"])
    story.tell(reviewer.name, "presses Review")
    story.show(f"What {reviewer.name} sees", review["blocks"])
    approve(cast, reviewer, first)
    story.tell(reviewer.name, "presses Approve")
    story.tell("JSONL", _example_line(cast))


def the_rest(story: Story) -> None:
    """The other mistakes are corrected, the good replies endorsed; reviewers approve all of it."""
    cast = story.cast
    story.chapter("The team goes through the other conversations")
    others = [conversation for conversation in cast.sample.conversations if not conversation.first]
    for conversation in others:
        agent = cast.staff_with(RoleName.AGENT, conversation.language)
        if conversation.verdict is SampleVerdict.WRONG:
            correct(cast, agent, conversation)
            story.tell(agent.name, f"corrects {conversation.id}: {conversation.correction}")
        else:
            endorse(cast, agent, conversation)
    review_all(cast)
    wrong = sum(conversation.verdict is SampleVerdict.WRONG for conversation in others)
    story.tell("Reviewers", f"approve {wrong} more corrections and {len(others) - wrong} endorsements")


def tune(story: Story, ordered: str) -> str:
    """The owner freezes and starts a run of what is ordered, and confirms it where that is asked; the run's id."""
    cast, owner = story.cast, story.cast.staff_with(RoleName.OWNER)
    story.chapter("A dataset, a run")
    for text in (f"freeze {DATASET} {HELD_OUT}", f"train {DATASET} {ordered}"):
        story.tell(owner.name, f"/errata {text}")
        answer = owner.command("/errata", text, cast.channel)
        if answer:
            story.tell("Errata", answer.get("text", ""))
        if text.startswith("freeze"):
            notice = wait(cast, lambda: cast.message_with(f"{DATASET} is frozen"), "the dataset in the channel")
            story.tell("Errata", notice["blocks"][0]["text"]["text"].splitlines()[0])
    if owner.modal is not None:
        story.show(f"What {owner.name} is asked", owner.modal["blocks"])
        story.tell(owner.name, "presses Start")
        owner.submit({})
    with cast.store.read() as session:
        requested = runs.listed(session)
    if not requested:
        raise Unavailable("The run was refused; the reason stands above.")
    return requested[0].id


def evaluated(story: Story, run_id: str) -> RunSummary:
    """Watch the run's one status message until its evaluation is told."""
    cast = story.cast

    def look() -> RunSummary:
        with cast.store.read() as session:
            return of_run(session, runs.find(session, run_id))

    with story.console.status("The run is requested…") as status:
        deadline = time.monotonic() + RUN_SECONDS
        while RunStatus((summary := look()).status) in runs.UNFINISHED:
            loss = f", loss {summary.curve[-1].loss:.3f}" if summary.curve else ""
            share = f" {summary.share:.0%}" if summary.measured else ""
            status.update(f"{run_id}: {summary.status}{share}{loss}")
            if time.monotonic() > deadline:
                raise Unavailable(f"{run_id} is still {summary.status} after {RUN_SECONDS} s; see errata.log.")
            time.sleep(0.3)
    if summary.report is None:
        raise Unavailable(f"{run_id} {summary.status}: {unpacked(summary.reason or '')}")
    wait(
        cast,
        lambda: cast.message_with(run_blocks.evaluated_text(ENGLISH_SPOKEN, summary)),
        "the evaluation in the channel",
    )
    wait(cast, lambda: cast.workspace.files, "the loss curve in the channel")
    picture = cast.workspace.files[-1]
    (cast.folder / "loss.png").write_bytes(picture.content or b"")
    story.chapter("The evaluation, as the channel sees it")
    story.tell("Errata", str(picture.alt_text))
    story.tell("Errata", unpacked(summary.report["sentence"]))
    for case in summary.report["cases"]:
        if case["kind"] == "correction":
            story.tell("Question", case["messages"][-1]["content"])
            story.tell("before", case["before"])
            story.tell("after", f"{case['after']} [{Case.from_json(case).outcome}]")
    return summary


def _deploy(story: Story, summary: RunSummary) -> str:
    """The owner presses Deploy; the endpoint answers the opening question."""
    cast, owner = story.cast, story.cast.staff_with(RoleName.OWNER)
    story.chapter("Deployed")
    message = wait(cast, lambda: cast.message_with(run_blocks.DEPLOY), "the Deploy button")
    owner.click(cast.channel, message["ts"], run_blocks.DEPLOY)
    story.tell(owner.name, "presses Deploy")
    wait(cast, lambda: cast.message_with("is live at"), "the deployment in the channel", seconds=RUN_SECONDS)
    with cast.store.read() as session:
        live = of_run(session, runs.find(session, summary.id))
        opening = _opening_item(session, cast)
    story.tell("Errata", f"{live.id} is live at {live.endpoint}")
    asked = opening.conversation.as_json()[:-1]
    answer = httpx.post(
        within(live.endpoint or "", "chat/completions"), json={"model": live.id, "messages": asked}, timeout=60
    ).raise_for_status()
    reply = str(answer.json()["choices"][0]["message"]["content"])
    story.tell("Question", asked[-1]["content"])
    story.tell("Endpoint", reply)
    owner.command("/errata", f"undeploy {summary.id}", cast.channel)
    wait(cast, lambda: cast.message_with("is no longer live"), "the end of the deployment")
    story.tell("Errata", "the endpoint is taken down again")
    return reply


def _example_line(cast: Cast) -> str:
    """The first approved example, exported as ``errata export`` does it."""
    path = cast.folder / "first-example.jsonl"
    with cast.store.read() as session:
        example = examples.approved(session)[0]
        prompt = assistants.current_prompt(session, assistants.find(session, cast.sample.assistant_name).key)
        conversation = examples.conversation_of(example, prompt.text if prompt is not None else None)
    exports.write([exports.ExportRow(conversation, example.rejected)], Format.OPENAI, path)
    return path.read_text(encoding="utf-8").strip()


def _opening_item(session: Any, cast: Cast) -> Item:
    first = next(conversation for conversation in cast.sample.conversations if conversation.first)
    source = f"{cast.workspace.team_id}/{cast.channel}/{cast.replies[first.id]}"
    items = dataset.items(session, dataset.find(session, DATASET))
    return next(item for item in items if item.example.source == source)
