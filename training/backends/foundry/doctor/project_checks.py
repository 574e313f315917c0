"""The doctor's look at where runs happen: hub, project, region, account, and the machines of the quota.

Each takes the scene and says what it saw; whoever cannot be asked raises, which ``diagnosis`` says.
"""

from __future__ import annotations

import re
from typing import Any

from curation.prerequisites import State
from curation.wording import phrase
from training.backends.errors import Missing
from training.backends.foundry.access import arm, remedies
from training.backends.foundry.access.clients import arm as manager
from training.backends.foundry.doctor.scene import Scene, Seen
from training.planning.regions import regions_of


def hub(scene: Scene) -> Seen:
    """Whether the hub is there, where the settings name one."""
    name = scene.place.hub
    if name is None:
        return Seen(State.OK, phrase("No hub is named: a project that is there knows its own."))
    try:
        found = manager().get(remedies.workspace_scope(scene.place, name), arm.WORKSPACES)
    except Missing:
        evidence = phrase("There is no hub {name} in {group}.", name=name, group=scene.place.group)
        return Seen(State.FAILED, evidence, remedies.INIT)
    if str(found.get("kind")).lower() != "hub":
        evidence = phrase("{name} is a workspace, and no hub.", name=name)
        return Seen(State.FAILED, evidence, remedies.list_projects(scene.place))
    return Seen(State.OK, phrase("The hub {name} is there, in {region}.", name=name, region=_region(found)))


def project(scene: Scene) -> Seen:
    """Whether the project is there and whole."""
    name = scene.place.project
    if name is None and scene.place.account is not None:
        evidence = phrase("No project is named: there is the backend {backend} only.", backend="openai")
        return Seen(State.SKIPPED, evidence, remedies.INIT)
    if name is None:
        return Seen(State.FAILED, phrase("{name} is not set.", name="ERRATA_AZURE_PROJECT"), remedies.INIT)
    try:
        found = manager().get(remedies.workspace_scope(scene.place, name), arm.WORKSPACES)
    except Missing:
        evidence = phrase("There is no project {name} in {group}.", name=name, group=scene.place.group)
        return Seen(State.FAILED, evidence, remedies.INIT)
    if str(found.get("kind")).lower() == "hub":
        evidence = phrase("{name} is a hub, and no project in one.", name=name)
        return Seen(State.FAILED, evidence, remedies.list_projects(scene.place))
    state = str((found.get("properties") or {}).get("provisioningState") or "Succeeded")
    if state != "Succeeded":
        evidence = phrase("The project {name} is not ready: {state}.", name=name, state=state)
        return Seen(State.FAILED, evidence, remedies.list_projects(scene.place))
    scene.project = found
    return Seen(State.OK, phrase("The project {name} is there, in {region}.", name=name, region=_region(found)))


def region(scene: Scene) -> Seen:
    """Whether the model can be tuned where the project is."""
    if scene.in_account is not None:
        return Seen(State.OK, phrase("{model} can be tuned in {region}.", model=scene.model, region=scene.in_account))
    here, where = scene.region or "", regions_of(scene.model)
    if where is None:
        return Seen(
            State.WARNING,
            phrase("Where {model} can be tuned is not known here.", model=scene.model),
            remedies.search_models(scene.model),
        )
    if here in where:
        return Seen(State.OK, phrase("{model} can be tuned in {region}.", model=scene.model, region=here))
    return Seen(
        State.FAILED,
        phrase("{model} can be tuned in {regions:or}, not in {region}.", model=scene.model, regions=where, region=here),
        remedies.move(where[0]),
    )


def account(scene: Scene) -> Seen:
    """Whether the account of the backend ``openai`` is there, where the settings name one."""
    name = scene.place.account
    if name is None:
        return Seen(State.OK, phrase("No account is named, so the backend {backend} is off.", backend="openai"))
    try:
        found = manager().get(remedies.account_scope(scene.place), arm.COGNITIVE)
    except Missing:
        evidence = phrase("There is no account {name} in {group}.", name=name, group=scene.place.group)
        return Seen(State.FAILED, evidence, remedies.INIT)
    scene.account = found
    return Seen(State.OK, phrase("The account {name} is there, in {region}.", name=name, region=_region(found)))


def quota(scene: Scene) -> Seen:
    """Whether machines are left for our own trainer; fine-tuning as a service takes none."""
    if scene.place.instance is None:
        return Seen(State.OK, phrase("Fine-tuning as a service takes no machines of your quota."))
    path = (
        f"{remedies.subscription_scope(scene.place)}/providers/Microsoft.MachineLearningServices/locations/"
        f"{scene.region}/usages"
    )
    rows = manager().listed(path, arm.WORKSPACES)
    family, cores = family_of(scene.place.instance), cores_of(scene.place.instance) * scene.place.nodes
    found = next((row for row in rows if family and _matches(_called(row), family)), None)
    remedy = remedies.list_machine_usage(scene.place, scene.region)
    if found is None:
        evidence = phrase(
            "Azure lists no quota for {instance} in {region}.", instance=scene.place.instance, region=scene.region
        )
        return Seen(State.WARNING, evidence, remedy)
    # Azure counts twice: by the family of machines, and all of them in the region together.
    left = min(_left(row) for row in (found, *(row for row in rows if _called(row).startswith(_ALL_MACHINES))))
    evidence = phrase(
        "{left:,} cores are left for {instance} in {region}; a run takes {cores:,}.",
        left=left,
        instance=scene.place.instance,
        region=scene.region,
        cores=cores,
    )
    return Seen(State.OK, evidence) if left >= cores else Seen(State.FAILED, evidence, remedy)


def family_of(instance: str) -> str:
    """The family of a kind of machine, as its quota is called.

    Example:
        ``Standard_NC24ads_A100_v4`` → ``ncadsa100v4``
    """
    plain = re.sub(r"(?i)^standard_", "", instance)
    return re.sub(r"^([A-Za-z]+)\d+(-\d+)?", r"\1", plain).replace("_", "").lower()


def cores_of(instance: str) -> int:
    """The cores of a kind of machine, which its name begins with; 1 where it has none.

    Example:
        ``Standard_NC24ads_A100_v4`` → 24
    """
    found = re.match(r"(?i)^standard_[a-z]+(\d+)", instance)
    return int(found[1]) if found else 1


_ALL_MACHINES = "Total Cluster Dedicated"


def _called(row: dict[str, Any]) -> str:
    return str((row.get("name") or {}).get("value"))


def _left(row: dict[str, Any]) -> int:
    return int(row.get("limit") or 0) - int(row.get("currentValue") or 0)


def _matches(name: str, family: str) -> bool:
    plain = name.lower().replace(" ", "")
    return plain.removeprefix("standard").startswith(f"{family}family")


def _region(found: dict[str, Any]) -> str:
    return "".join(str(found.get("location") or "").split()).lower()
