"""Use cases, in the order in which each finds what it needs: people, workspaces and assistants."""

from __future__ import annotations

from builders import NOON, Team
from sqlmodel import Session, update
from use_case import LATER, Case

from bot import installations
from bot.installations import Installed
from curation import assistants, memberships, people, tongues
from curation.people import WORKER, PersonId
from curation.policies import RoleName, Standing
from curation.store.tables import Person

INSTALLED = Installed("T2", "Lumen", None, "B2", "UERRATA2", "xoxb-2", "commands")

OF_THE_HOUSE = [
    Case(
        "curation.people.grant",
        "role.granted",
        Team.olga,
        lambda s, t, _: people.grant(s, t.olga, NOON, person=PersonId("T1/UNEW"), role=RoleName.AGENT),
    ),
    Case(
        "curation.people.revoke",
        "role.revoked",
        Team.olga,
        lambda s, t, _: people.revoke(s, t.olga, NOON, person=PersonId("T1/UNEW"), role=RoleName.AGENT),
    ),
    Case(
        "curation.memberships.settle",
        "role.granted",
        WORKER,
        lambda s, _t, _: memberships.settle(s, WORKER, NOON, {(PersonId("T1/UNEW"), RoleName.AGENT)}),
    ),
    Case(
        "curation.memberships.settle",
        "role.revoked",
        WORKER,
        lambda s, _t, _: memberships.settle(s, WORKER, NOON, set()),
    ),
    Case("curation.memberships.confirm_group", "role.joined", WORKER, lambda s, _t, _: confirm_group(s, ["T1/UANA"])),
    Case(
        "curation.memberships.leave_group",
        "role.left",
        WORKER,
        lambda s, _t, _: memberships.leave_group(s, WORKER, NOON, group_id="S1", persons=[PersonId("T1/UANA")]),
    ),
    Case("curation.memberships.confirm_group", "role.joined", WORKER, lambda s, _t, _: confirm_group(s, ["T1/UANA"])),
    Case("curation.memberships.confirm_group", "role.left", WORKER, lambda s, _t, _: confirm_group(s, [])),
    Case("curation.memberships.confirm_group", "role.joined", WORKER, lambda s, _t, _: confirm_group(s, ["T1/UANA"])),
    Case(
        "curation.memberships.forget_groups",
        "role.left",
        WORKER,
        lambda s, _t, _: memberships.forget_groups(s, WORKER, NOON, configured=set()),
    ),
    Case(
        "curation.memberships.note_standing",
        "person.standing",
        WORKER,
        lambda s, _t, _: memberships.note_standing(s, NOON, PersonId("T1/UNEW"), Standing.GUEST),
    ),
    Case(
        "bot.installations.keep",
        "app.installed",
        Team.olga,
        lambda s, t, _: installations.keep(s, NOON, INSTALLED, by=t.olga.person_id),
    ),
    Case("bot.installations.remove", "app.removed", WORKER, lambda s, _t, _: installations.remove(s, "T2", LATER)),
    Case(
        "curation.assistants.add",
        "assistant.added",
        Team.olga,
        lambda s, t, _: assistants.add(s, t.olga, NOON, name="Fjord", team_id="T1", speaks_as={"UFJORD"}),
    ),
    Case(
        "curation.assistants.itself",
        "assistant.added",
        WORKER,
        lambda s, _t, _: assistants.itself(s, NOON, team_id="T1", speaks_as={"UERRATA"}),
    ),
    Case(
        "curation.assistants.set_prompt",
        "prompt.set",
        Team.olga,
        lambda s, t, _: assistants.set_prompt(s, t.olga, NOON, name="Fjord", text="Be brief."),
    ),
    Case(
        "curation.tongues.choose_language",
        "person.language",
        Team.ben,
        lambda s, t, _: tongues.choose_language(s, t.ben, NOON, "nb"),
    ),
    Case(
        "curation.tongues.choose_reads",
        "person.reads",
        Team.ben,
        lambda s, t, _: tongues.choose_reads(s, t.ben, NOON, ["de", "nb"]),
    ),
]


def confirm_group(session: Session, members: list[str]) -> None:
    """Have Slack say who is in the group of the agents; whoever is, is a member of the workspace."""
    session.execute(update(Person).values(standing="member"))
    memberships.confirm_group(
        session,
        WORKER,
        NOON,
        team_id="T1",
        group_id="S1",
        role=RoleName.AGENT,
        members=[PersonId(member) for member in members],
    )
