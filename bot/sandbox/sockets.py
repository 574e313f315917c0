"""Socket Mode: envelopes to a connected app over WebSocket, and its answers back.

Owns one-time tickets, connections and the pairing of envelopes with answers. Refuses a WebSocket
without a ticket from ``apps.connections.open``.
"""

from __future__ import annotations

import asyncio
import json
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.sandbox.delivery import Answer, Delivery
from bot.sandbox.payloads import Json

ENVELOPE_TYPES = {"event": "events_api", "interaction": "interactive", "command": "slash_commands"}


class SocketLine:
    """The way to an app that called ``apps.connections.open`` and holds a WebSocket open."""

    def __init__(
        self, *, app_id: str, rng: random.Random, timeout_seconds: float, on_connect: Callable[[], None]
    ) -> None:
        self._app_id = app_id
        self._on_connect = on_connect
        self._rng = rng
        self._timeout_seconds = timeout_seconds
        self._tickets: set[str] = set()
        self._connections: list[tuple[WebSocket, asyncio.AbstractEventLoop]] = []
        self._answers: dict[str, queue.SimpleQueue[str]] = {}
        self.connected = threading.Event()

    def new_ticket(self) -> str:
        """A ticket for one connection."""
        ticket = f"{self._rng.getrandbits(80):020x}"
        self._tickets.add(ticket)
        return ticket

    async def serve(self, websocket: WebSocket) -> None:
        """Hold one connection: greet, then pair each answer with the envelope it names."""
        ticket = websocket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await websocket.close(code=1008, reason="link_disabled")
            return
        self._tickets.discard(ticket)
        await websocket.accept()
        info = {"app_id": self._app_id}
        await websocket.send_json({"type": "hello", "num_connections": 1, "connection_info": info, "debug_info": {}})
        connection = (websocket, asyncio.get_running_loop())
        self._connections.append(connection)
        self._on_connect()
        self.connected.set()
        try:
            while True:
                self._take(await websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            self._connections.remove(connection)
            if not self._connections:
                self.connected.clear()

    def _take(self, text: str) -> None:
        answer = json.loads(text)
        waiting = self._answers.get(answer.get("envelope_id", ""))
        if waiting is not None:
            waiting.put(json.dumps(answer["payload"]) if answer.get("payload") else "")

    def prepare(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Delivery:
        """Wrap the payload in an envelope; over Socket Mode there is nothing to sign."""
        envelope: dict[str, Any] = {
            "envelope_id": f"{self._rng.getrandbits(80):020x}",
            "type": ENVELOPE_TYPES[kind],
            "payload": payload,
            "accepts_response_payload": kind != "event",
        }
        if kind == "event":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        return Delivery(kind, payload, json.dumps(envelope).encode(), {}, attempt)

    def send(self, delivery: Delivery) -> Answer:
        """Send the envelope to the newest connection and wait for the answer that names it."""
        started = time.perf_counter()
        envelope_id = json.loads(delivery.body)["envelope_id"]
        connections = list(self._connections)  # the server's thread may take one away meanwhile
        if not connections:
            return Answer(None, "", 0.0, trouble="connection_failed: no app is connected over Socket Mode")
        websocket, loop = connections[-1]
        waiting = self._answers[envelope_id] = queue.SimpleQueue()
        try:
            sending = asyncio.run_coroutine_threadsafe(websocket.send_text(delivery.body.decode()), loop)
            sending.result(self._timeout_seconds)
            body = waiting.get(timeout=self._timeout_seconds)
        except (queue.Empty, TimeoutError):
            return Answer(None, "", (time.perf_counter() - started) * 1000, trouble="http_timeout")
        except (RuntimeError, WebSocketDisconnect) as trouble:  # starlette's words for a socket that has closed
            return Answer(None, "", (time.perf_counter() - started) * 1000, trouble=f"connection_failed: {trouble}")
        finally:
            del self._answers[envelope_id]
        return Answer(200, body, (time.perf_counter() - started) * 1000)

    def close(self) -> None:
        """Nothing to let go of: the server closes its WebSockets."""
