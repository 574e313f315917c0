"""POST /v1/load_lora_adapter and /v1/unload_lora_adapter, as vLLM has them.

Owns changing what is served without a reload. Whoever reaches this endpoint may do so, which is one reason for its
staying on the loopback interface.

https://docs.vllm.ai/en/latest/features/lora.html
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from training.backends.local.serving.engine import Engine
from training.backends.local.serving.roster import Roster


class Adapter(BaseModel):
    """An adapter to be loaded: the name for a request's ``model``, and the folder."""

    lora_name: str = Field(min_length=1)
    lora_path: Path


class Named(BaseModel):
    """An adapter that is served."""

    lora_name: str


def router(roster: Roster, engine: Engine) -> APIRouter:
    """The routes over these models."""
    routes = APIRouter()

    @routes.post("/v1/load_lora_adapter")
    async def load(adapter: Adapter) -> PlainTextResponse:
        added = engine.between_tokens(lambda: roster.add(adapter.lora_name, adapter.lora_path))
        await asyncio.wrap_future(added)
        return PlainTextResponse(f"Success: LoRA adapter '{adapter.lora_name}' added successfully.")

    @routes.post("/v1/unload_lora_adapter")
    async def unload(adapter: Named) -> PlainTextResponse:
        voice = roster.withdraw(adapter.lora_name)
        await asyncio.wrap_future(engine.between_tokens(lambda: roster.forget(voice), silent=voice))
        return PlainTextResponse(f"Success: LoRA adapter '{adapter.lora_name}' removed successfully.")

    return routes
