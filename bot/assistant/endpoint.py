"""The model that Errata answers with: where it is, how much it takes, and the key that it wants.

Owns which one that is, by the settings or by what is live. Keys of a provider's stay in memory. How it is asked is
``asking``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from sqlmodel import Session

from bot.assistant.troubles import EndpointTrouble
from bot.settings import Settings
from curation.errors import NotFound, Unavailable
from training import catalogue, deployments, runs
from training.backends import base, opening
from training.backends.names import BackendName
from training.deployments import DeploymentStatus

ANSWER_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is asked.

    Attributes:
        url: base, without a final slash.
        model: what the endpoint calls it.
        window: most tokens of question and answer together.
        run_id: the run that made it; None where Errata did not.
        base: what the run started from, for people.
        backend: which has the model; a provider's wants a key, see ``keyed``.
    """

    url: str
    model: str
    window: int
    key: str = field(default="", repr=False)
    run_id: str | None = None
    base: str | None = None
    backend: BackendName = BackendName.LOCAL

    @classmethod
    def of(cls, session: Session, settings: Settings) -> Self:
        """The endpoint of the settings, or that of the model which is live now.

        Raises:
            EndpointTrouble: none is live.
        """
        if settings.assistant_url is not None:
            return cls(
                settings.assistant_url, settings.assistant_model, settings.assistant_window, settings.assistant_key
            )
        live = deployments.replying(session, DeploymentStatus.LIVE)
        if not live or not live[-1].url:
            raise EndpointTrouble(
                "No model is live at the moment, so there is nobody to answer: tell whoever looks after Errata.",
                "nothing live",
                "Deploy a completed run with errata deploy RUN, or set ERRATA_ASSISTANT_URL.",
            )
        run = runs.find(session, live[-1].run_id)
        try:
            window = catalogue.find(run.model).window
        except NotFound:  # a checkpoint of one's own
            window = settings.assistant_window
        url, backend = str(live[-1].url).rstrip("/"), BackendName(run.backend)
        return cls(url, run.id, window, run_id=run.id, base=run.model, backend=backend)

    @property
    def answer_tokens(self) -> int:
        """Most tokens of an answer: a quarter of a small window, so that the question has room."""
        return min(ANSWER_TOKENS, self.window // 4)


def keyed(at: Endpoint, settings: Settings) -> Endpoint:
    """The endpoint with the key that its provider gives for it, in memory only.

    It may ask the provider: never call it while Slack waits for an answer.

    Raises:
        EndpointTrouble: the provider does not give the key.
    """
    if at.backend is BackendName.LOCAL or at.key:
        return at
    try:
        key = opening.key_of(settings.azure, at.backend, base.Endpoint(at.url, None, at.model))
    except Unavailable as error:
        raise EndpointTrouble(
            "The provider of the model refuses Errata, so nobody can answer at the moment: tell whoever looks after "
            "Errata.",
            f"no key: {type(error).__name__}",
            "Look with errata doctor --foundry.",
        ) from error
    return replace(at, key=key)
