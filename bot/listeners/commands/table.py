"""The table of sub-commands, in the order in which help lists them."""

from __future__ import annotations

from functools import partial

from bot.listeners.commands import (
    datasets,
    deploying,
    doctor,
    following,
    foundry,
    helping,
    language,
    links,
    pricing,
    reviewing,
    roles,
    running,
    starting,
)
from bot.listeners.commands.asked import SubCommand
from curation.wording import phrase

SUBCOMMANDS: dict[str, SubCommand] = {
    "queue": SubCommand(phrase("what waits for review"), reviewing.waiting),
    "review": SubCommand(phrase("review what waits, one after the other"), reviewing.review, writes=True),
    "correct": SubCommand(
        phrase("correct the reply behind a link"),
        links.correct,
        usage="LINK",
        example="https://example.slack.com/archives/C0123456789/p1700000000000100",
        writes=True,
    ),
    "stats": SubCommand(phrase("the approved examples, and which are missing"), reviewing.stats),
    "check": SubCommand(
        phrase("what should be known about a dataset"), datasets.check, usage="[DATASET]", example="spring"
    ),
    "freeze": SubCommand(
        phrase("release the approved examples as a dataset"),
        datasets.freeze,
        usage="[NAME] [SHARE]",
        example="spring 10%",
        notes=phrase(
            "The share is never trained on, and shows what the model has learned. Without a name, a form asks."
        ),
        writes=True,
    ),
    "train": SubCommand(
        phrase("start a run"),
        starting.train,
        usage="[DATASET] [MODEL] [RECIPE] [local|foundry|openai|azureml]",
        example="spring phi-4-mini-instruct foundry",
        notes=phrase("A rehearsal starts at once; anything else is asked about a second time, with what it will take."),
        writes=True,
    ),
    "runs": SubCommand(phrase("every run and where it stands"), running.runs),
    "run": SubCommand(phrase("one run in detail"), running.run, usage="[RUN]", example="run-1a2b"),
    "cancel": SubCommand(phrase("stop a run"), running.cancel, usage="[RUN]", example="run-1a2b", writes=True),
    "resume": SubCommand(
        phrase("let a run that stopped go on"), running.resume, usage="[RUN]", example="run-1a2b", writes=True
    ),
    "deploy": SubCommand(
        phrase("let a run's model answer"), deploying.deploy, usage="[RUN]", example="run-1a2b", writes=True
    ),
    "undeploy": SubCommand(
        phrase("take a model down"), deploying.undeploy, usage="[RUN]", example="run-1a2b", writes=True
    ),
    "rollback": SubCommand(phrase("put the model back that was live before"), deploying.rollback, writes=True),
    "models": SubCommand(
        phrase("the models that can be tuned"),
        pricing.models,
        usage="[WORDS]",
        example="phi-4",
        notes=phrase(
            "This shows what was read before; on the host, errata models --search WORDS asks Azure's registry."
        ),
    ),
    "costs": SubCommand(
        phrase("what costs money now"),
        pricing.costs,
        notes=phrase("This is what Errata knows; on the host, errata foundry costs asks Azure what it hosts as well."),
    ),
    "foundry": SubCommand(
        phrase("where in Azure rows may go, and which models Azure filters"),
        foundry.foundry,
        usage="[consent REGION | filter RUN on|off REASON]",
        example="consent swedencentral",
        notes=phrase("A project is made on the host, as that takes its login at Azure: errata foundry init"),
        writes=True,
    ),
    "language": SubCommand(
        phrase("how Errata speaks to you, and which languages you review"),
        language.choose,
        usage="[LANGUAGE]",
        example="deutsch",
        writes=True,
    ),
    "doctor": SubCommand(
        phrase("what stands in Errata's way in this workspace, or in Azure"),
        doctor.doctor,
        usage="[foundry [MODEL]]",
        example="foundry",
    ),
    "roles": SubCommand(
        phrase("who may do what; owners grant and take back"),
        roles.roles,
        usage="[grant|revoke PERSON ROLE]",
        example="grant @ana reviewer",
        writes=True,
    ),
    "flags": SubCommand(phrase("the flagged replies that nobody has corrected"), following.flags),
    "digest": SubCommand(
        phrase("how things stand, every Monday in this channel"),
        following.digest,
        usage="[on|off]",
        example="on",
        writes=True,
    ),
}
SUBCOMMANDS["help"] = SubCommand(
    phrase("this list, or one of it explained"), partial(helping.explain, SUBCOMMANDS), usage="[NAME]", example="freeze"
)
