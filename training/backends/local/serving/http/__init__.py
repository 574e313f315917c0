"""What an endpoint speaks: OpenAI's shapes over HTTP, for whatever the engine says. No torch here."""
