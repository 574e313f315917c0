"""The part of the command line that belongs to curation, from people to datasets, ready to be mounted.

Owns no decision: every command translates, calls one use case and prints.
"""

from __future__ import annotations

import typer

from curation.commands.assistants import assistant_commands
from curation.commands.audit import audit_commands
from curation.commands.datasets import dataset_commands
from curation.commands.files import file_commands
from curation.commands.people import people_commands
from curation.commands.review import review_commands


def mount(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(people_commands, name="people")
    app.add_typer(assistant_commands, name="assistants")
    app.add_typer(file_commands)
    app.add_typer(review_commands)
    app.add_typer(dataset_commands, name="dataset")
    app.add_typer(audit_commands, name="audit")
