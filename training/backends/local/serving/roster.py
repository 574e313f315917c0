"""The models that an endpoint answers with, by name: whole ones, and adapters that share one base.

Owns loading and forgetting them. A base is loaded once however many adapters stand beside it; which of them speaks is
switched between two tokens. Refuses an adapter that was trained on another base, and weights that are a pickle, which
could run anybody's code. Only one thread may make a voice speak, add one or remove one.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors import SafetensorError

from curation.conversation import Conversation
from curation.errors import Conflict, Invalid, NotFound, Unavailable
from training.backends.local import checkpoint
from training.backends.local.chat import ChatFormat
from training.backends.local.checkpoint import Loaded
from training.backends.local.serving.entries import Entry

BASE = "base"
"""Under this name a base answers without any of its adapters."""

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"


class Host:
    """A loaded model, with the adapters that were put into it."""

    def __init__(self, path: str, loaded: Loaded) -> None:
        self.path = path
        self.loaded = loaded
        self._chat = ChatFormat(loaded.tokenizer)
        self._adapted: Any = None
        self._encoding = threading.Lock()
        self._numbers = itertools.count(1)
        self._speaking: str | None = None

    @property
    def border(self) -> int | None:
        """Tokens above which longrope scales every position anew; None where positions are never scaled so."""
        rope = getattr(self.loaded.model.config, "rope_parameters", None) or {}
        return int(rope["original_max_position_embeddings"]) if rope.get("rope_type") == "longrope" else None

    def prompt(self, conversation: Conversation) -> list[int]:
        """Token ids of the conversation up to the reply; any thread may ask.

        Raises:
            Invalid: the conversation fills the window, or its template cannot say it.
        """
        with self._encoding:
            ids = self._chat.prompt(conversation)
        if len(ids) >= self.loaded.window:
            raise Invalid(
                "The conversation has {count:,} tokens; the model's window is {window:,} with the reply. Shorten the "
                "conversation.",
                count=len(ids),
                window=self.loaded.window,
            )
        return ids

    def put_in(self, path: Path) -> str:
        """Load an adapter beside the others; the name by which ``speak`` knows it."""
        config = _config(path)
        trained_on = str(config.get("base_model_name_or_path") or self.path)
        if trained_on != self.path:
            raise Invalid(
                "{path} was trained on {base}, and this endpoint holds {held}; start one for that base.",
                path=path,
                base=trained_on,
                held=self.path,
            )
        name = f"adapter{next(self._numbers)}"  # of our own: peft takes no dots, and people write them
        place = {"adapter_name": name, "torch_device": str(self.loaded.device)}
        try:
            if self._adapted is None:
                self._adapted = PeftModel.from_pretrained(self.loaded.model, str(path), **place)
            else:
                self._adapted.load_adapter(str(path), **place)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            if self._adapted is not None and name in self._adapted.peft_config:
                self._adapted.delete_adapter(name)  # half of it may be there
            self._speaking = ""
            first = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".:")
            raise Invalid("The adapter in {path} does not fit: {cause}.", path=path, cause=first) from error
        kind = self.loaded.model.dtype
        for parameter_name, parameter in self.loaded.model.named_parameters():
            if f".{name}." in f".{parameter_name}.":
                parameter.data = parameter.data.to(kind)
        self.loaded.model.eval()
        self._speaking = ""
        return name

    def take_out(self, adapter: str) -> None:
        """Forget an adapter."""
        self._adapted.delete_adapter(adapter)
        self._speaking = ""

    def speak(self, adapter: str | None) -> None:
        """From now on the model answers with this adapter, or with none."""
        if self._adapted is None or adapter == self._speaking:
            return
        tuner = self._adapted.base_model
        if adapter is None:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            tuner.set_adapter(adapter, inference_mode=True)
        self._speaking = adapter


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A name that a request may ask for: a model, or an adapter on it."""

    name: str
    host: Host
    adapter: str | None = None

    def speak(self) -> None:
        """From now on the host answers as this voice."""
        self.host.speak(self.adapter)


@dataclass
class Roster:
    """Every voice by its name."""

    _hosts: dict[str, Host] = field(default_factory=dict)
    _voices: dict[str, Voice] = field(default_factory=dict)

    @classmethod
    def load(cls, entries: Iterable[Entry]) -> Roster:
        """Load what is to be served, each base once.

        Raises:
            Unavailable, Invalid, Conflict: a model or adapter cannot be loaded; two have one name.
        """
        roster = cls()
        for entry in entries:
            roster._enter(entry)
        bases = [host for host in roster._hosts.values() if not roster._whole(host)]
        if len(bases) == 1:
            roster._voices.setdefault(BASE, Voice(BASE, bases[0]))
        return roster

    def names(self) -> tuple[str, ...]:
        """Of every voice, in the order in which they came."""
        return tuple(self._voices)

    def find(self, name: str) -> Voice:
        """The voice of this name; any thread may ask.

        Raises:
            NotFound: there is none.
        """
        voice = self._voices.get(name)
        if voice is None:
            raise NotFound(
                "This endpoint serves {names}, not {wanted}; change the request's model.",
                names=self.names() or ("nothing",),
                wanted=name,
            )
        return voice

    def add(self, name: str, path: Path) -> None:
        """Put an adapter beside the others, on the base that it was trained on.

        Raises:
            Conflict: the name is taken; Invalid: it cannot be loaded here.
        """
        base = str(_config(path).get("base_model_name_or_path") or next(iter(self._hosts)))
        if base not in self._hosts:
            raise Invalid(
                "{path} was trained on {base}, and this endpoint holds {held}; start one for that base.",
                path=path,
                base=base,
                held=tuple(self._hosts),
            )
        self._enter(Entry(name, base, path))

    def withdraw(self, name: str) -> Voice:
        """No request finds the voice any more; what is being said goes on until ``forget``.

        Raises:
            NotFound: there is none; Conflict: it is no adapter.
        """
        voice = self.find(name)
        if voice.adapter is None:
            raise Conflict("{name} is no adapter: it goes with the endpoint.", name=name)
        del self._voices[name]
        return voice

    @staticmethod
    def forget(voice: Voice) -> None:
        """Free the memory of a voice that was withdrawn and is silent."""
        if voice.adapter is not None:
            voice.host.take_out(voice.adapter)

    def _enter(self, entry: Entry) -> None:
        if entry.name in self._voices:
            raise Conflict("{name} is served already; choose another name.", name=entry.name)
        host = self._hosts.get(entry.path)
        if host is None:
            host = self._hosts[entry.path] = Host(entry.path, _loaded(entry.path))
        adapter = host.put_in(entry.adapter) if entry.adapter is not None else None
        self._voices[entry.name] = Voice(entry.name, host, adapter)

    def _whole(self, host: Host) -> bool:
        return any(voice.host is host and voice.adapter is None for voice in self._voices.values())


def _loaded(path: str) -> Loaded:
    loaded = checkpoint.load(Path(path))
    if getattr(loaded.model, "_is_stateful", False):
        raise Unavailable(
            "{path} remembers by a state instead of keys and values, which is not served here; use vLLM.", path=path
        )
    loaded.model.eval()
    return loaded


def _config(path: Path) -> dict[str, Any]:
    """How peft describes the adapter in a directory."""
    if not (path / _WEIGHTS).is_file():
        raise Invalid(
            "{path} holds no {file}: give the folder of an adapter that was saved as safetensors.",
            path=path,
            file=_WEIGHTS,
        )
    try:
        config: dict[str, Any] = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid(
            "{path} holds no {file} that can be read; save the adapter anew.", path=path, file=_CONFIG
        ) from error
    return config
