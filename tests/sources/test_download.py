"""Downloads go on where they broke, are tried several times and checked; a failed one says what to do."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
import time
from typing import ClassVar

import pytest

from dkvb.errors import NotHere
from dkvb.recipe import Data
from dkvb.sources import download
from dkvb.sources.opening import open_source
from source_files import cifar10, packed, refused


@pytest.mark.parametrize("path", [None, "here"])
def test_failed_cifar_download_says_what_to_do(path, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise OSError("network is down")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    where = tmp_path / "cache" / "dkvb" / "cifar100" if path is None else tmp_path / path
    text = refused(NotHere, "network is down", "cifar100", None if path is None else where)
    for part in ("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", str(where), "--data-root"):
        assert part in text


class Ranged(http.server.BaseHTTPRequestHandler):
    """Sends `content`; the n-th answer breaks off at the n-th of `cuts`, or is that status where it is one below
    600."""

    content = bytes(range(256)) * 4000
    cuts: ClassVar[list[int]] = []
    asked: ClassVar[list[str | None]] = []
    ranges = True
    pause = 0.0

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        cut = self.cuts.pop(0) if self.cuts else len(self.content)
        if cut < 600:
            self.send_error(cut)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if wanted and self.ranges else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        with contextlib.suppress(OSError):
            for place in range(start, cut, 100_000):
                self.wfile.write(self.content[place : min(cut, place + 100_000)])
                time.sleep(self.pause)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A handler class whose `url` serves its content, with no pauses between tries."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    handler = type("Handler", (Ranged,), {"cuts": [], "asked": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    handler.url = f"http://127.0.0.1:{running.server_port}/a.tar.gz"
    yield handler
    running.shutdown()
    running.server_close()


MD5 = hashlib.md5(Ranged.content).hexdigest()


def test_a_download_goes_on_where_it_broke(tmp_path, server):
    target = tmp_path / "sub" / "a.tar.gz"
    part = target.with_name("a.tar.gz.part")
    server.cuts[:] = [300_000, 500_000]
    with pytest.raises(OSError, match="broke after 500,000 of 1,024,000 bytes; tried 2 times"):
        download.download(server.url, target, MD5, tries=2)
    assert not target.exists()
    # what another process left is continued too
    download.download(server.url, target, MD5)
    assert target.read_bytes() == server.content
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    download.download(server.url, target, MD5)
    assert len(server.asked) == 3
    # a finished part that was not renamed before a kill
    target.rename(part)
    download.download(server.url, target, MD5)
    assert target.is_file()
    assert not part.exists()


def test_a_download_is_tried_several_times(tmp_path, server, monkeypatch):
    server.cuts[:] = [503, 200_000, 500, 700_000]
    download.download(server.url, tmp_path / "a", MD5)
    assert server.asked == [None, None, "bytes=200000-", "bytes=200000-", "bytes=700000-"]
    server.asked.clear()
    server.cuts[:] = [404]
    with pytest.raises(OSError, match="HTTP 404"):
        download.download(server.url, tmp_path / "b", MD5)
    assert len(server.asked) == 1
    with pytest.raises(OSError, match="refused; tried 5 times"):
        download.download("http://127.0.0.1:9/a", tmp_path / "c", MD5)
    server.pause = 0.05
    monkeypatch.setattr(download, "WINDOW", 0.02)
    monkeypatch.setattr(download, "SLOWEST", 1e9)
    with pytest.raises(OSError, match="sends only .* bytes a second; tried 2 times"):
        download.download(server.url, tmp_path / "d", MD5, tries=2)
    server.pause = 2.0
    with pytest.raises(OSError, match="timed out; tried 1 times"):
        download.download(server.url, tmp_path / "e", MD5, tries=1, timeout=0.2)


def test_a_download_of_another_content_is_thrown_away(tmp_path, server):
    target, part = tmp_path / "a", tmp_path / "a.part"
    with pytest.raises(OSError, match="md5 differs"):
        download.download(server.url, target, "0" * 32)
    assert not target.exists()
    assert not part.exists()
    assert len(server.asked) == 1
    # a part of something else: thrown away, and fetched anew
    part.write_bytes(b"something else")
    download.download(server.url, target, MD5)
    assert target.read_bytes() == server.content
    # a server that cannot resume
    target.unlink()
    server.ranges, server.cuts[:] = False, [400_000]
    download.download(server.url, target, MD5)
    assert target.read_bytes() == server.content


def test_cifar10_is_downloaded_in_pieces_and_opened(tmp_path, server, monkeypatch, cache):
    import torchvision.datasets

    archive = packed(cifar10(tmp_path), tmp_path / "made.tar.gz").read_bytes()
    server.content = archive + b"\0" * 300_000
    server.cuts[:] = [1_000, 503, 100_000]
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", server.url)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", hashlib.md5(server.content).hexdigest())
    assert len(open_source(Data(source="cifar10")).splits["train"]) == 50
    assert (cache / "cifar10" / "cifar-10-python.tar.gz").read_bytes() == server.content
    assert len(server.asked) == 4
    open_source(Data(source="cifar10"))
    assert len(server.asked) == 4
    server.cuts[:] = [1_000] * 9
    text = refused(NotHere, "tried 5 times", "cifar10", tmp_path / "new")
    for word in (
        "cifar-10-python.tar.gz",
        hashlib.md5(server.content).hexdigest(),
        f"put it in {tmp_path / 'new'}",
        "--data-root",
    ):
        assert word in text
