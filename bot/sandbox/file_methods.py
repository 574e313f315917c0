"""``files.*``: the three steps of an upload, as ``files_upload_v2`` takes them.

Owns the answers of these methods. Refuses a completion before the bytes have arrived, and bytes of
another length than was announced.
"""

from __future__ import annotations

from bot.sandbox.arguments import Arguments
from bot.sandbox.chat_methods import bot_message
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.payloads import Json
from bot.sandbox.records import UploadedFile
from bot.sandbox.state import State


def get_upload_url(state: State, arguments: Arguments) -> Json:
    """``files.getUploadURLExternal``: where to send the bytes."""
    file_id = state.new_id("F")
    length = arguments.integer("length", 0)
    alt_text = arguments.get("alt_txt") or ""
    state.files[file_id] = UploadedFile(file_id, arguments.text("filename"), length, alt_text)
    return {"file_id": file_id, "upload_url": f"{state.origin}/upload/{file_id}"}


def receive(state: State, file_id: str, content: bytes) -> None:
    """Take the bytes of a file; ApiRefusal where no upload was announced or the length differs."""
    file = state.files.get(file_id)
    if file is None:
        raise ApiRefusal("file_not_found")
    if len(content) != file.length:
        raise ApiRefusal("invalid_arguments", [f"length: {file.length} bytes were announced, {len(content)} came"])
    file.content = content


def complete_upload(state: State, arguments: Arguments) -> Json:
    """``files.completeUploadExternal``: share uploaded files in channels, as one message in each."""
    files = []
    for named in arguments.get("files") or []:
        file = state.files.get(named.get("id"))
        if file is None or file.content is None:
            raise ApiRefusal("file_not_found")
        file.title = named.get("title") or file.name
        files.append(file)
    if not files:
        raise ApiRefusal("invalid_arguments", ["missing required field: files"])
    listed = arguments.get("channel_id") or arguments.get("channels") or ""
    for channel in [state.channel_to_post(channel_id) for channel_id in str(listed).split(",") if channel_id]:
        message = bot_message(state, {"text": arguments.get("initial_comment") or "\u200b"})
        message |= {"text": arguments.get("initial_comment") or "", "upload": True}
        message["files"] = [_file_object(file) for file in files]
        state.post(channel, message, thread_ts=arguments.get("thread_ts"))
        for file in files:
            file.channels.append(channel.channel_id)
            file.thread_ts = arguments.get("thread_ts")
    return {"files": [_file_object(file) for file in files]}


def _file_object(file: UploadedFile) -> Json:
    about: Json = {"id": file.file_id, "name": file.name, "title": file.title, "size": file.length}
    return about | ({"alt_txt": file.alt_text} if file.alt_text else {})
