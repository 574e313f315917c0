"""The part of the command line that belongs to curation, from people to datasets, ready to be mounted.

Owns no decision: every command translates, calls one use case and prints.
"""

from __future__ import annotations

import typer

from curation.commands.assistants import assistant_commands
from curation.commands.audit import audit_commands
from curation.commands.cleaning import cleaning_commands
from curation.commands.datasets import dataset_commands
from curation.commands.examples import example_commands, knowledge_commands
from curation.commands.files import file_commands
from curation.commands.people import people_commands
from curation.commands.privacy import privacy_commands
from curation.commands.queue import queue_commands
from curation.commands.removal import removal_commands
from curation.commands.review import review_commands
from curation.commands.stats import stats_commands, topic_commands


def mount(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(people_commands, name="people")
    app.add_typer(assistant_commands, name="assistants")
    app.add_typer(file_commands)
    app.add_typer(queue_commands)
    app.add_typer(review_commands)
    app.add_typer(stats_commands)
    app.add_typer(topic_commands, name="topics")
    app.add_typer(example_commands, name="examples")
    app.add_typer(knowledge_commands)
    app.add_typer(dataset_commands, name="dataset")
    app.add_typer(audit_commands, name="audit")
    app.add_typer(privacy_commands, name="privacy")
    app.add_typer(cleaning_commands)
    app.add_typer(removal_commands)
