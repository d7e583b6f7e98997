"""A Hub on this machine: the few routes of the Hugging Face Hub that publishing and fetching use, over real HTTP."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Files = dict[str, bytes]


class ToyHub:
    """Model repositories by name, each with its commits, oldest first.

    Attributes:
        repositories: files by name, by commit hash, by repository.
        downloaded: names of the files that were asked for.
        tokens: what requests to write gave as authorization.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Files]] = {}
        self.downloaded: list[str] = []
        self.tokens: list[str | None] = []
        self.private: dict[str, bool] = {}
        self.endpoint = ""

    def commit(self, repository: str, files: Files) -> str:
        """Add a commit with these files beside those that are there; return its hash."""
        commits = self.repositories.setdefault(repository, {})
        whole = (list(commits.values())[-1] if commits else {}) | files
        listing = sorted((name, hashlib.sha1(content).hexdigest()) for name, content in whole.items())
        oid = hashlib.sha1(json.dumps([len(commits), listing]).encode()).hexdigest()
        commits[oid] = whole
        return oid

    def resolve(self, repository: str, revision: str) -> str | None:
        commits = self.repositories.get(repository, {})
        return list(commits)[-1] if revision == "main" and commits else revision if revision in commits else None


class _Handler(BaseHTTPRequestHandler):
    hub: ToyHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/revision/(\w+)(\?.*)?", self.path):
            oid = self.hub.resolve(found[1], found[2])
            if oid is None:
                self._refuse("RevisionNotFound" if found[1] in self.hub.repositories else "RepoNotFound")
                return
            files = self.hub.repositories[found[1]][oid]
            siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            self._answer({"id": found[1], "sha": oid, "siblings": siblings})
        elif found := re.fullmatch(r"/(\w+/[\w.-]+)/resolve/(\w+)/(.+)", self.path):
            oid = self.hub.resolve(found[1], found[2])
            content = self.hub.repositories[found[1]][oid].get(found[3]) if oid else None
            if content is None:
                self._refuse("EntryNotFound")
                return
            if self.command == "GET":
                self.hub.downloaded.append(found[3])
            headers = {"X-Repo-Commit": oid, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
            self._send(200, content, headers)
        else:
            self._refuse("EntryNotFound")

    do_HEAD = do_GET  # noqa: N815 - http.server looks for these names

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.tokens.append(self.headers["Authorization"])
        if self.path == "/api/repos/create":
            values = json.loads(body)
            name = f"{values['organization']}/{values['name']}"
            self.hub.private[name] = values["visibility"] == "private"
            self._answer({"url": f"{self.hub.endpoint}/{name}"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self._answer({"files": modes})
        elif found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/commit/main", self.path):
            entries = [json.loads(line)["value"] for line in body.splitlines() if json.loads(line)["key"] == "file"]
            oid = self.hub.commit(found[1], {file["path"]: base64.b64decode(file["content"]) for file in entries})
            self._answer({"commitUrl": f"{self.hub.endpoint}/{found[1]}/commit/{oid}", "commitOid": oid})
        else:
            self._refuse("EntryNotFound")

    def _answer(self, values: dict[str, Any]) -> None:
        self._send(200, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: str) -> None:
        self._send(404, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""


@contextmanager
def serve_toy_hub() -> Iterator[ToyHub]:
    """Run a Hub without repositories at `hub.endpoint`."""
    hub = ToyHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
