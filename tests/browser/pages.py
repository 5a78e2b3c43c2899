"""A browser, and web pages that it opens."""

import contextlib
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: A headless browser that talks to nobody but the pages.
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--disable-popup-blocking",
)  # fmt: skip


def browser() -> str:
    """The path of Chromium or Chrome.

    Fails the test where there is none.
    """
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        pytest.fail("These tests need Chromium. Install it, as root: apt-get install chromium")
    return found


@dataclass
class WebSite:
    """A web server of somebody else's: pages by path, and what their scripts reported.

    Attributes:
        pages: HTML by path.
        redirects: Locations by path.
        reports: What scripts posted to ``/report``, parsed.
    """

    pages: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    reports: list[Any] = field(default_factory=list)
    port: int = 0
    reported: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def serving(self) -> Iterator["WebSite"]:
        """Serve on a port of 127.0.0.1 for as long as the context lasts."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                location = site.redirects.get(self.path)
                content = site.pages.get(self.path, "").encode()
                self.send_response(307 if location else 200 if content else 404)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/report":
                    site.reports.append(json.loads(body))
                    site.reported.set()
                location = site.redirects.get(self.path)
                self.send_response(307 if location else 204)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def visit(url: str, site: WebSite, *options: str, timeout: float = 60) -> list[Any]:
    """Open a page and wait until a script has reported to its site.

    Args:
        url: The page.
        site: Where the script reports to.
        options: Of the browser.
        timeout: Seconds.

    Returns:
        The reports.
    """
    site.reported.clear()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, (Path(profile) / "log").open("wb") as log:
        command = [browser(), *_OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-port=0", *options, url]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            assert site.reported.wait(timeout), (Path(profile) / "log").read_text(errors="replace")[-2000:]
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()
    return site.reports


def document(url: str, *options: str) -> str:
    """The document that the browser shows for an address."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser(), *_OPTIONS, f"--user-data-dir={profile}", "--dump-dom", *options, url]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
