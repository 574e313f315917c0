"""Getting through to Azure: who Errata is there, the clients, plain requests, and what a refusal means."""
