"""From a frozen dataset to a model that answers. Knows no Slack."""
