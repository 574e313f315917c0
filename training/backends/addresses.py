"""Addresses behind the root at which a model answers.

A root may carry a query that every request needs, such as the version of an API at Azure.
"""

from __future__ import annotations

from urllib.parse import urlsplit


def within(root: str, path: str) -> str:
    """The address of what is asked for.

    Example:
        ``http://127.0.0.1:8000/v1``, ``models`` → ``http://127.0.0.1:8000/v1/models``;
        ``https://a.test?api-version=1``, ``chat/completions`` → ``https://a.test/chat/completions?api-version=1``
    """
    parts = urlsplit(root)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()
