"""Every function that changes what Errata keeps, once: how it is called, and the entry that it leaves in the audit.

The list is checked against the code (``units_of_work.use_cases``), so that a new one cannot be forgotten here.
"""

from __future__ import annotations

from use_cases_correcting import CORRECTING
from use_cases_of_datasets import OF_DATASETS
from use_cases_of_runs import OF_RUNS
from use_cases_of_the_house import OF_THE_HOUSE

CASES = [*CORRECTING, *OF_THE_HOUSE, *OF_DATASETS, *OF_RUNS]

ONLY_AN_ENTRY = {"curation.handover.hand_over", "training.removal.spared", "training.uploads.unloaded"}
"""What changes no row but a mark in a run's progress: what leaves a house, ours or another's, is written down."""

BY_THE_WORKER = {
    "curation.datasets.requested._freeze": "what came of a request; proven on the worker's way",
    "curation.datasets.requested._refuse": "the same",
    "curation.datasets.requested._tell": "the same",
    "training.deployments.advance": "each step is proven by itself",
    "training.runs.advance": "the same",
    "training.deployments.restarted": "an endpoint that answers again; proven on the worker's way",
    "training.switching._switch": "what comes with a deployment's step; proven on the worker's way",
    "training.workflow._step": "what comes with a run's step; the same",
    "training.workflow._watch_evaluation": "the report that comes with a run's step; the same",
}
"""What the worker changes: it acts in its own name, and its steps are proven in another way."""

ON_THE_HOST = {"bot.restored._chain": "the entry of a restored database; a scenario restores one"}

WITHOUT_ENTRY = {
    "curation.claims.take_next": "who looks at what for some minutes, which decides nothing",
    "curation.claims.hold": "the same",
    "curation.claims.release": "the same",
    "curation.captures.fill": "a draft that nobody has saved; the candidate made from it has its entry",
    "curation.captures.not_filled": "the same",
    "curation.proposals.capture": "the same, if a candidate may be made of it",
    "curation.people.meet": "a name as Slack tells it; knowing somebody grants nothing",
    "curation.tongues.note_locale": "a language as Slack tells it; nobody chose it",
    "curation.knowledge.gaps": "a list that is read; what a scan finds for it, and a file of it has its entry",
    "curation.privacy.personal.look_at_queue": "what a scan finds; what somebody decides about it has its entry",
    "curation.privacy.personal.keep": "the same",
    "curation.privacy.releases.record_export": "half of an export, in its commit and under its entry",
    "curation.digests.owe_due": "messages owed; who ordered them has its entry",
    "curation.flagged.gone": "what somebody has deleted in Slack",
    "curation.replies.count": "what was said in Slack, which nobody decides",
    "curation.replies.withdraw": "the same",
    "curation.screening.worklist._keep": "warnings, which never block and never decide",
    "curation.screening.worklist._keep_example": "the same",
    "curation.suggestions.note": "what a model makes of it; what a reviewer takes over of that has its entry",
    "training.forgetting._forget_rows": "the rest of an erasure, which has its entry",
    "training.removal.cleared": "the end of a deletion, which has its entry",
    "training.workflow._note": "how far a run has come, which is no decision",
    "bot.revocations.keep": "what Slack has done",
    "bot.installing.issue": "an installation that nobody has finished; one that is has its entry",
    "bot.installing.use_up": "the same",
    "bot.sandbox.": "Slack's own side, which has a method of the same name as a statement's",
    "bot.replay.": "the answers that Slack may ask for again",
    "bot.assistant.": "questions that wait for an answer; the candidate made of a reply has its entry",
}
"""What is no decision of anybody's; a name that ends in a dot stands for everything in there."""
