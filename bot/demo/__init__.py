"""The whole loop on the sample workspace, with no accounts: real bot, real training, sandbox Slack."""
