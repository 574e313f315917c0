"""The services of the sandbox: modules with ``ROUTES``, first match wins; ``furnish`` sets up what one has at first."""

from __future__ import annotations

from training.sandbox import (
    accounts,
    arm,
    assets,
    codes,
    deployments,
    endpoints,
    jobs,
    login,
    models,
    openai_events,
    openai_jobs,
    openai_service,
    registry,
    safety,
    subscription,
    tracking,
    workspaces,
)
from training.sandbox import blobs as storage
from training.sandbox.cloud import Cloud
from training.sandbox.wire import Route


def routes() -> tuple[Route, ...]:
    """Every service's routes, in the order in which they are tried."""
    return (
        *login.ROUTES,
        *arm.OPERATIONS,
        *subscription.ROUTES,
        *workspaces.ROUTES,
        *assets.ROUTES,
        *codes.ROUTES,
        *accounts.ROUTES,
        *registry.ROUTES,
        *storage.ROUTES,
        *models.ROUTES,
        *jobs.ROUTES,
        *tracking.ROUTES,
        *endpoints.ROUTES,
        *openai_service.ROUTES,
        *openai_events.ROUTES,
        *openai_jobs.ROUTES,
        *deployments.ROUTES,
        *safety.ROUTES,
        *arm.ANY_RESOURCE,
    )


def furnish(cloud: Cloud, *, empty: bool, blobs: str | None) -> None:
    """Make what is there at the start; ``empty``: a subscription and nothing in it."""
    subscription.furnish(cloud, empty=empty)
    workspaces.furnish(cloud, empty=empty)
    accounts.furnish(cloud, empty=empty)
    storage.furnish(cloud, blobs)
