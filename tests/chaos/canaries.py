"""Words that must be nowhere, every way in which they might be written, and every place where they might stand.

The faults that try to bring them there are `test_canaries.py`.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import quote

import psycopg
from server_process import Client, Server

# A user's key of no vendor's shape, so that nothing but its value gives it away, with all that encodings trip over.
USERS = 'zQ7canary"user\\key/9d+1f=8e%7c&6b5a4032'
# One as vendors make them: also where a server cannot know it for a key, it is to be known by its shape.
SHAPED = "sk-ant-api03-canary-5e1f0b7e2a9c6835-DoNotWriteThis"
OPERATORS = 'Yk3canary"operator\\key/77+d0=c1%ab&93e2f4'
MASTER = base64.b64encode(bytes(range(200, 232))).decode()


@cache
def forms(word: str) -> Mapping[str, list[bytes]]:
    """The six ways to write a word; base64 has three, as it may begin at any byte."""
    raw = word.encode()
    shifted = [base64.b64encode(b"\0" * shift + raw).decode() for shift in range(3)]
    inner = [text.rstrip("=")[start:-1] for text, start in zip(shifted, (0, 2, 3), strict=True)]
    escaped = json.dumps(word)[1:-1]
    return {
        "raw": [raw],
        "base64": [text.encode() for text in (*inner, *(it.replace("+", "-").replace("/", "_") for it in inner))],
        "url-quoted": [quote(word, safe="").encode(), quote(word).encode()],
        "hex": [raw.hex().encode(), raw.hex().upper().encode(), raw.hex(":").encode()],
        "JSON-escaped": [escaped.encode(), escaped.replace("/", "\\/").encode(), json.dumps(escaped)[1:-1].encode()],
        "reversed": [raw[::-1]],
    }


def hits(content: bytes, words: Mapping[str, str]) -> list[str]:
    """Which word is in there, in which form."""
    return [
        f"{name} ({form})"
        for name, word in words.items()
        for form, written in forms(word).items()
        if any(each in content for each in written)
    ]


def sinks(server: Server, clients: list[Client], answers: list[bytes], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every place where a key might have come to stand, by name; the server must be running."""
    yield "standard output", server.said.read_bytes()
    yield "standard error", server.log_file.read_bytes()
    yield "answers to the faults", b"\n".join(answers)
    for client in clients:
        yield from _asked(client, folder)
    yield "metrics", server.root("GET", "/metrics").content
    for path in sorted(server.data.rglob("*")):
        if path.is_file():
            yield f"file {path.relative_to(server.data)}", path.read_bytes()
    yield from _tables(server.environment.get("ORCHESTRATOR_DATABASE_URL", ""))
    for path in Path("/proc").glob(f"{server.process.pid}/cmdline"):
        yield "command line", path.read_bytes()
    yield "core dumps", b"".join(path.name.encode() for path in server.home.glob("core*"))


def _tables(url: str) -> Iterator[tuple[str, bytes]]:
    """Every row of every table of a PostgreSQL, bytes as they are."""
    if not url.startswith("postgres"):
        return
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        for (name,) in names:
            found = connection.execute(f'SELECT * FROM "{name}"').fetchall()
            yield f"table {name}", b"\n".join(_bytes(value) for row in found for value in row)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _asked(client: Client, folder: Path) -> Iterator[tuple[str, bytes]]:
    """All that a user can read: lists, standings, events, streams, files, archives, pages."""
    own = ("/users/me", "/users/me/tokens", "/users/me/provider-settings", "/users/me/usage", "/providers", "/projects")
    pages = ("/", "/new", "/ui/settings", "/ui/usage", "/ui/users")
    for path in (*own, *pages, "/openapi.json"):
        yield f"answer of {path}", _whole(client, path)
    for run in client.get("/runs?limit=200")["items"]:
        yield from _of_run(client, run["id"], folder)


def _of_run(client: Client, run_id: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    for more in ("", "/events?limit=1000", "/artifacts", "/cost", "/checkpoints"):
        yield f"answer of /runs/id{more}", _whole(client, f"/runs/{run_id}{more}")
    yield "page of a run", _whole(client, f"/ui/runs/{run_id}")
    yield "stream of events", _streamed(client, run_id)
    for each in client.get(f"/runs/{run_id}/artifacts"):
        yield "artifact", client("GET", f"/runs/{run_id}/artifacts/{quote(each['path'])}").content
    packed = client("GET", f"/runs/{run_id}/archive")
    if packed.status_code == 200:
        with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
            yield "archive", b"\n".join(archive.read(name) + name.encode() for name in archive.namelist())
        yield "bundle", _unpacked(client("GET", f"/runs/{run_id}/archive?kind=bundle").content, folder / run_id)


def _whole(client: Client, path: str) -> bytes:
    answer = client("GET", path)
    return repr(answer.headers.raw).encode() + b"\n" + answer.content


def _streamed(client: Client, run_id: str) -> bytes:
    last = len(client.get(f"/runs/{run_id}/events?limit=1000")["items"])
    found = b""
    with client.http.stream("GET", f"/runs/{run_id}/events", headers={"Accept": "text/event-stream"}) as answer:
        for part in answer.iter_raw():
            found += part
            if f"\nid: {last}\n".encode() in found and found.endswith(b"\n\n"):
                return found
    return found


def _unpacked(bundle: bytes, folder: Path) -> bytes:
    """Every object of a bundle, inflated."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "it.bundle").write_bytes(bundle)
    clone = ["git", "clone", "-q", "--bare", str(folder / "it.bundle"), str(folder / "clone")]
    done = subprocess.run(clone, capture_output=True, timeout=30, check=False)
    if done.returncode:
        return b""
    objects = ["git", "-C", str(folder / "clone"), "cat-file", "--batch-all-objects", "--batch"]
    return subprocess.run(objects, capture_output=True, timeout=30, check=True).stdout
