"""From a captured conversation to a frozen dataset. Knows no Slack, no torch, no Azure."""
