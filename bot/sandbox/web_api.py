"""The Web API: which methods exist, what each needs, and the faults a test puts in its way.

Owns the table of methods and the checks before each: known, authorised, within scope. Refuses every
method Errata does not use with ``unknown_method``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bot.sandbox import channel_methods, chat_methods, file_methods, stream_methods, usergroup_methods
from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.installing import App
from bot.sandbox.payloads import Json
from bot.sandbox.rates import Rates
from bot.sandbox.sockets import SocketLine
from bot.sandbox.state import State
from bot.sandbox.views import Views

Handler = Callable[[State, Arguments], Json]


@dataclass(frozen=True, slots=True)
class Method:
    """One method. A scope that starts with ``channels:`` becomes ``groups:`` or ``im:`` with the channel."""

    handler: Handler
    scope: str | None = None
    caller: Literal["bot", "app", "anybody"] = "bot"


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """What goes back over HTTP, ``delay_seconds`` late; ``dropped``: nothing goes back at all."""

    content: Json
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False
    delay_seconds: float = 0.0


METHODS: dict[str, Method] = {
    "api.test": Method(lambda _state, _arguments: {}, caller="anybody"),
    "assistant.threads.setStatus": Method(stream_methods.set_status, "chat:write"),
    "assistant.threads.setSuggestedPrompts": Method(stream_methods.set_suggested_prompts, "assistant:write"),
    "assistant.threads.setTitle": Method(stream_methods.set_title, "assistant:write"),
    "auth.test": Method(channel_methods.auth_test),
    "bots.info": Method(channel_methods.bots_info, "users:read"),
    "chat.appendStream": Method(stream_methods.append, "chat:write"),
    "chat.delete": Method(chat_methods.delete, "chat:write"),
    "chat.getPermalink": Method(chat_methods.get_permalink),
    "chat.postEphemeral": Method(chat_methods.post_ephemeral, "chat:write"),
    "chat.postMessage": Method(chat_methods.post_message, "chat:write"),
    "chat.startStream": Method(stream_methods.start, "chat:write"),
    "chat.stopStream": Method(stream_methods.stop, "chat:write"),
    "chat.update": Method(chat_methods.update, "chat:write"),
    "conversations.history": Method(channel_methods.history, "channels:history"),
    "conversations.info": Method(channel_methods.info, "channels:read"),
    "conversations.list": Method(channel_methods.list_channels, "channels:read"),
    "conversations.members": Method(channel_methods.members, "channels:read"),
    "conversations.open": Method(channel_methods.open_direct_message, "im:write"),
    "conversations.replies": Method(channel_methods.replies, "channels:history"),
    "files.completeUploadExternal": Method(file_methods.complete_upload, "files:write"),
    "files.getUploadURLExternal": Method(file_methods.get_upload_url, "files:write"),
    "reactions.add": Method(chat_methods.add_reaction, "reactions:write"),
    "reactions.get": Method(chat_methods.get_reactions, "reactions:read"),
    "reactions.remove": Method(chat_methods.remove_reaction, "reactions:write"),
    "team.info": Method(channel_methods.team_info, "team:read"),
    "usergroups.list": Method(usergroup_methods.list_groups, "usergroups:read"),
    "usergroups.users.list": Method(usergroup_methods.list_members, "usergroups:read"),
    "users.conversations": Method(channel_methods.users_conversations, "channels:read"),
    "users.info": Method(channel_methods.users_info, "users:read"),
    "users.list": Method(channel_methods.users_list, "users:read"),
}


class WebApi:
    """Answers calls against one workspace.

    ``scopes`` limits what the bot token may do, ``rates`` how often; None grants everything.
    """

    def __init__(self, state: State, views: Views, sockets: SocketLine, *, bot_token: str, app: App) -> None:
        self._state = state
        self._tokens = {bot_token: "bot", app.app_token: "app"}
        self._methods = METHODS | _view_methods(views) | _socket_methods(sockets)
        self._methods["oauth.v2.access"] = Method(lambda _state, arguments: app.access(arguments), caller="anybody")
        self._apis: dict[str, WebApi] = app.apis
        self._apis[bot_token] = self
        self.revoked = False
        self.faults = Faults()
        self.rates: Rates | None = None
        self.scopes: set[str] | None = None

    def fail_next(self, method: str, fault: Fault, *, times: int) -> None:
        """Let the next ``times`` calls of the method go wrong."""
        if method not in self._methods:
            raise ValueError(f"{method} is no method of the sandbox; the fault would never happen")
        self.faults.queue(method, fault, times=times)

    def whose(self, token: str | None) -> WebApi:
        """The Web API of the workspace that the token belongs to; this one for any other."""
        return self._apis.get(token or "", self)

    def call(self, name: str, token: str | None, read: Callable[[], Arguments]) -> ApiAnswer:
        """Answer one call; ``read`` parses its arguments and may itself refuse."""
        with self._state.lock:
            try:
                method = self._method(name)
                arguments = read()
                self._check_token(method, token or arguments.get("token"))
                wait = self._wait_seconds(name, arguments)
                if wait:
                    return _faulty(Fault("ratelimited", wait))
                fault = self.faults.take(name)
                if fault is not None and not fault.effective:
                    return _faulty(fault)
                self._check_scope(name, method, arguments)
                content = {"ok": True, **method.handler(self._state, arguments)}
            except ApiRefusal as refusal:
                return ApiAnswer(_refused(refusal))
            if fault is not None and isinstance(fault.error, int):
                return _faulty(fault)
            headers = {"x-oauth-scopes": ",".join(sorted(self._granted()))} if method.caller == "bot" else {}
            if fault is None:
                return ApiAnswer(content, headers=headers)
            return ApiAnswer(content, 200, headers, fault.error == "drop_answer", fault.seconds)

    def _wait_seconds(self, name: str, arguments: Arguments) -> int:
        if self.rates is None:
            return 0
        return self.rates.wait_seconds(name, str(arguments.get("channel") or ""), self._state.now())

    def _method(self, name: str) -> Method:
        if name not in self._methods:
            raise ApiRefusal("unknown_method", extra={"req_method": name})
        return self._methods[name]

    def _check_token(self, method: Method, token: str | None) -> None:
        if method.caller == "anybody":
            return
        if not token:
            raise ApiRefusal("not_authed")
        if token not in self._tokens:
            raise ApiRefusal("invalid_auth")
        if self._tokens[token] != method.caller:
            raise ApiRefusal("not_allowed_token_type")
        if self.revoked and method.caller == "bot":
            raise ApiRefusal("account_inactive")

    def _granted(self) -> set[str]:
        if self.scopes is not None:
            return self.scopes
        every = {method.scope for method in self._methods.values() if method.scope}
        private = {scope.replace("channels:", family) for scope in every for family in ("groups:", "im:")}
        return every | private | {"commands", "chat:write.customize"}

    def _check_scope(self, name: str, method: Method, arguments: Arguments) -> None:
        if self.scopes is None:
            return
        needed = [method.scope] if method.scope else []
        channel = self._state.channels.get(str(arguments.get("channel")))
        if method.scope and method.scope.startswith("channels:") and channel is not None:
            family = {"channel": "channels", "group": "groups", "im": "im"}[channel.kind]
            needed = [method.scope.replace("channels", family)]
        if name in {"conversations.list", "users.conversations"}:
            families = {"channel": "channels", "group": "groups", "im": "im"}
            needed = [f"{families[kind]}:read" for kind in channel_methods.types_of(arguments)]
        if name == "chat.postMessage" and arguments.get("username"):
            needed.append("chat:write.customize")
        missing = [scope for scope in needed if scope not in self.scopes]
        if missing:
            extra = {"needed": missing[0], "provided": ",".join(sorted(self.scopes))}
            raise ApiRefusal("missing_scope", extra=extra)


def _faulty(fault: Fault) -> ApiAnswer:
    if fault.error == "ratelimited":
        headers = {"retry-after": str(fault.retry_after_seconds)}
        return ApiAnswer({"ok": False, "error": "ratelimited"}, 429, headers)
    if isinstance(fault.error, int):
        return ApiAnswer({"ok": False, "error": "internal_error"}, fault.error)
    return ApiAnswer({"ok": False, "error": fault.error})


def _refused(refusal: ApiRefusal) -> Json:
    content: Json = {"ok": False, "error": refusal.code, **refusal.extra}
    if refusal.messages:
        content["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in refusal.messages]}
    return content


def _view_methods(views: Views) -> dict[str, Method]:
    def view_of(arguments: Arguments) -> Json:
        view = arguments.get("view")
        if not isinstance(view, dict):
            raise ApiRefusal("invalid_arguments", ["missing required field: view"])
        return json.loads(json.dumps(view))  # type: ignore[no-any-return]  # a JSON object stays one

    def open_view(_state: State, arguments: Arguments) -> Json:
        return {"view": views.open(arguments.text("trigger_id"), view_of(arguments))}

    def push(_state: State, arguments: Arguments) -> Json:
        return {"view": views.push(arguments.text("trigger_id"), view_of(arguments))}

    def update(_state: State, arguments: Arguments) -> Json:
        names = {"view_id": arguments.get("view_id"), "external_id": arguments.get("external_id")}
        if not any(names.values()):
            raise ApiRefusal("invalid_arguments", ["name the view by view_id or external_id"])
        return {"view": views.update(view_of(arguments), **names, view_hash=arguments.get("hash"))}

    def publish(_state: State, arguments: Arguments) -> Json:
        view, user_id = view_of(arguments), arguments.text("user_id")
        return {"view": views.publish(user_id, view, view_hash=arguments.get("hash"))}

    handlers = {"views.open": open_view, "views.push": push, "views.update": update, "views.publish": publish}
    return {name: Method(handler) for name, handler in handlers.items()}


def _socket_methods(sockets: SocketLine) -> dict[str, Method]:
    def open_connection(state: State, _arguments: Arguments) -> Json:
        address = state.origin.replace("http://", "ws://", 1)
        return {"url": f"{address}/link?ticket={sockets.new_ticket()}&app_id={state.identity.app_id}"}

    return {"apps.connections.open": Method(open_connection, caller="app")}
