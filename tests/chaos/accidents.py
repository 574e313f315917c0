"""Accidents: payloads that people sent, sent again with something wrong, and what must not come of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from builders import now
from chaos.door import FORM, JSON, written
from chaos.game import LEARNED, Game
from chaos.words import STRANGE

ACTED = frozenset({"message", "app_mention", "reaction_added", "reaction_removed"})
"""Events of what a person did; the others tell of accounts, groups and the app itself, and nobody's name is on them."""

READ = (
    *("private_metadata", "value", "text", "ts", "thread_ts", "user"),
    *("bot_id", "channel", "deleted_ts", "event_ts", "item", "reaction", "subtype", "tokens"),
)
"""What listeners read of a view, a message, an action, an event."""


class Accidents:
    """What goes wrong with payloads."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.office = game.office
        self.rng = game.rng

    def happen(self) -> None:
        """One payload that people sent, sent again with something wrong."""
        if not self.game.corpus:
            return
        kind, payload = self.rng.choice(self.game.corpus)
        payload = copy.deepcopy(payload)
        ways = (
            [self.mutate] * 6
            + [self.tamper] * 3
            + [self.forge, self.foreign, self.unsigned, self.stale, self.replay, self.garble]
        )
        self.rng.choice(ways)(kind, payload)

    def mutate(self, kind: str, payload: dict[str, Any]) -> None:
        """Values of other types, missing parts, nesting and strange texts anywhere."""
        for _ in range(self.rng.randint(1, 4)):
            self._change(payload)
        self._send("mutated", kind, payload)

    def tamper(self, kind: str, payload: dict[str, Any]) -> None:
        """What Errata itself put into a form or button, or reads first: other ids and garbage, all else intact."""
        event = payload.get("event")
        holders = [payload.get("view"), payload.get("message"), event, *(payload.get("actions") or [])]
        if isinstance(event, dict):
            holders += [event.get("item"), event.get("previous_message")]
        places = [(holder, key) for holder in holders if isinstance(holder, dict) for key in READ if key in holder]
        entered = ((payload.get("view") or {}).get("state") or {}).get("values") or {}
        places += [(element, "value") for elements in entered.values() for element in elements.values()]
        if "command" in payload:
            places = [(payload, "text")]
        if places:
            holder, key = self.rng.choice(places)
            other = self._other_id(holder.get(key))
            holder[key] = self.rng.choice([other, copy.deepcopy(self.rng.choice(STRANGE))])
        self._send("mutated", kind, payload)

    def forge(self, kind: str, payload: dict[str, Any]) -> None:
        """The same action by somebody without a role: nothing but the acquaintance may be stored."""
        if kind == "event" and (payload.get("event") or {}).get("type") not in ACTED:
            return
        forger = self.rng.choice(["UNOBODY", self.office.customer.user_id, "W" * 40])
        for holder, key in ((payload.get("user"), "id"), (payload, "user_id")):
            if isinstance(holder, dict) and key in holder:
                holder[key] = forger
        before = (payload.get("event") or {}).get("previous_message")
        for speaker in (payload.get("event"), before):
            if isinstance(speaker, dict):
                speaker.pop("bot_id", None)  # else it would still be the assistant that speaks
                speaker["user"] = forger
        if isinstance(payload.get("user"), dict):
            payload["user"]["team_id"] = self.rng.choice([payload["user"].get("team_id"), "TOTHER"])
        # Whoever is in the workspace may ask Errata, where it is itself the assistant.
        asked = {"chat_tasks"} if kind == "event" else set()
        self._send("forged", kind, payload, may_store={"people", LEARNED, "handled_requests"} | asked)

    def foreign(self, kind: str, payload: dict[str, Any]) -> None:
        """From a workspace that has not installed Errata."""
        for holder, key in ((payload.get("team"), "id"), (payload, "team_id"), (payload.get("user"), "team_id")):
            if isinstance(holder, dict) and key in holder:
                holder[key] = "TFOREIGN"
        for installed in payload.get("authorizations") or []:
            installed["team_id"] = "TFOREIGN"
        self._send("foreign", kind, payload, may_store={"handled_requests"})

    def unsigned(self, kind: str, payload: dict[str, Any]) -> None:
        """Signed by somebody else, or not at all."""
        secret = self.rng.choice([None, "guess", ""])
        status, _ = self._send("unsigned", kind, payload, secret=secret, unsigned=secret is None, may_store=set())
        self.game.expect(status == 401, f"an unsigned request was answered {status}")

    def stale(self, kind: str, payload: dict[str, Any]) -> None:
        """Signed, and too old or from the future."""
        at = int(now().timestamp()) + self.rng.choice([-330, -90_000, 330, 10**9])
        status, _ = self._send("stale", kind, payload, at=at, may_store=set())
        self.game.expect(status == 401, f"a stale request was answered {status}")

    def replay(self, _kind: str, _payload: dict[str, Any]) -> None:
        """The very bytes of something that was done: told the same, done once."""
        done = [one for one in self.office.workspace.deliveries[-60:] if one.acknowledged]
        if not done:
            return
        first = self.rng.choice(done)
        headers = {name.lower(): value for name, value in first.headers.items()}
        before = self.game.rows()
        status, body = self.game.door.ask(
            first.body, headers["content-type"], headers["x-slack-request-timestamp"], headers["x-slack-signature"]
        )
        self.game.sent["replayed"] += 1
        self.game.failures.context = f"replayed {first.kind}"
        answered = first.answer.body if first.answer is not None else None
        self.game.expect((status, body.decode()) == (200, answered), f"a replay was told {status} {body[:80]!r}")
        self.game.expect(self.game.rows() == before, "a replay changed rows")

    def garble(self, kind: str, payload: dict[str, Any]) -> None:
        """Bytes that are no payload any more."""
        body, content_type = written(kind, payload)
        way = self.rng.randrange(5)
        if way == 0:
            body = body[: self.rng.randrange(len(body))]
        elif way == 1:
            spot = self.rng.randrange(len(body))
            body = body[:spot] + self.rng.randbytes(3) + body[spot:]
        elif way == 2:
            content_type = self.rng.choice([JSON, FORM, "text/plain", "", "multipart/form-data"])
        elif way == 3:
            body = self.rng.choice(
                [b"", b"[1]", b"null", b"{", b'{"team":7}', b"[" * 9000, b"payload=%5B1%5D", b"a;b&c"]
            )
        else:
            body = body + b"x" * self.rng.choice([1, 1_000_001])
        before = self.game.rows()
        self.game.failures.context = f"garbled {kind}"
        status, _ = self.game.door.ask(body, content_type, *self.game.door.stamped(body))
        self.game.sent["garbled"] += 1
        self.game.judge(status, before, None)

    def _change(self, payload: dict[str, Any]) -> None:
        """One accident somewhere in the payload; rather near what listeners read."""
        near = [
            payload,
            *(
                payload[key]
                for key in ("view", "message", "user", "event", "team")
                if isinstance(payload.get(key), dict)
            ),
        ]
        actions = payload.get("actions")
        near += [one for one in actions if isinstance(one, dict)] if isinstance(actions, list) else []
        holder = self.rng.choice(near if self.rng.random() < 0.5 else list(_places(payload)))
        if not holder:
            return
        key = self.rng.choice(list(holder)) if isinstance(holder, dict) else self.rng.randrange(len(holder))
        if isinstance(holder, dict) and self.rng.random() < 0.25:
            likely = [one for one in (*READ, "name", "values") if one in holder]
            key = self.rng.choice(likely) if likely else key
        way = self.rng.random()
        if way < 0.2:
            del holder[key]
        elif way < 0.3 and isinstance(holder[key], str | int):
            other = str(holder[key]) if isinstance(holder[key], int) else 7
            holder[key] = other
        elif way < 0.4:
            nested: Any = holder[key]
            for _ in range(self.rng.choice([1, 5, 40])):
                nested = self.rng.choice([[nested], {"a": nested}])
            holder[key] = nested
        elif way < 0.5:
            holder[key] = self._other_id(holder[key])
        else:
            holder[key] = copy.deepcopy(self.rng.choice(STRANGE))

    def _other_id(self, value: Any) -> Any:
        """An id of another object of the same kind, as far as the corpus has one."""
        text = str(value)
        if text.isdecimal():
            return str(self.rng.randint(0, 200))
        if ":" in text:
            return f"{self.rng.randint(0, 60)}:{self.rng.randint(0, 90)}"
        if text.startswith("{"):
            held = {"candidate": self.rng.randint(0, 60), "seen": self.rng.randint(0, 90)}
            return json.dumps({**held, "verdict": self.rng.choice(["approve", "edit_and_approve", "return", "reject"])})
        return self.rng.choice([self.office.customer.user_id, self.office.channel, self.office.workspace.team_id])

    # Sending.

    def _send(
        self,
        how: str,
        kind: str,
        payload: dict[str, Any],
        *,
        at: int | None = None,
        secret: str | None = None,
        unsigned: bool = False,
        may_store: set[str] | None = None,
    ) -> tuple[int, bytes]:
        try:
            body, content_type = written(kind, payload)
        except (UnicodeEncodeError, ValueError):
            return 0, b""
        stamp, signature = self.game.door.stamped(body, secret=secret, at=at)
        self.game.failures.context = (
            f"{how} {kind} {payload.get('type')} {json.dumps(payload)[:6000] if how == 'mutated' else ''}"
        )
        before = self.game.rows()
        status, answer = self.game.door.ask(body, content_type, stamp, None if unsigned else signature)
        self.game.sent[how] += 1
        self.game.judge(status, before, may_store)
        return status, answer


def _places(value: Any) -> Iterator[Any]:
    """Every object and list inside a payload, itself included."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _places(inner)
