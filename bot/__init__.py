"""From Slack and the command line to the use cases, and from what is owed back to Slack."""
