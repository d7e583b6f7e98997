"""The app answers its own page on this machine, and nobody else."""

import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import socket
import tempfile
from urllib.parse import urlsplit

import pytest

from retina_adapt.app import AppStartError, run_app

OWN = {"X-Retina-Adapt": "1"}
WANTED = {
    "weights": [["light", 1]],
    "in_sequence": False,
    "mode": "fast",
    "detail": "guided",
    "steps": 4,
    "seed": 0,
    "seeds": 1,
}


def ask(address: str, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
    """Status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request(method, path, body, OWN if headers is None else headers)
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def test_a_photograph_goes_in_is_enhanced_and_comes_out(address, eye):
    status, _, body = ask(address, "POST", "/photographs?name=a%20b.png", eye)
    loaded = json.loads(body)
    assert (status, loaded["name"], loaded["width"]) == (200, "a b.png", 160)
    status, _, body = ask(address, "POST", f"/photographs/{loaded['number']}/enhance", json.dumps(WANTED).encode())
    answer = json.loads(body)
    assert status == 200
    assert 'data-layer="vessels"' in answer["html"]
    status, headers, body = ask(address, "GET", answer["download"])
    assert body.startswith(b"\x89PNG")
    assert "attachment" in headers["content-disposition"]
    (listed,) = json.loads(ask(address, "GET", "/photographs")[2])["photographs"]
    assert listed == {**loaded, "result": answer}
    assert ask(address, "GET", "/photographs", headers={})[0] == 400
    assert b"a b.png" in ask(address, "GET", "/report.html")[2]
    assert ask(address, "DELETE", f"/photographs/{loaded['number']}")[0] == 200
    assert ask(address, "GET", answer["download"])[0] == 410


def test_the_download_of_a_result_that_another_tab_has_replaced_is_gone(address, eye):
    number = json.loads(ask(address, "POST", "/photographs?name=eye.png", eye)[2])["number"]
    links = []
    for adaptor in ("light", "haze"):
        wanted = json.dumps({**WANTED, "weights": [[adaptor, 1]]}).encode()
        links.append(json.loads(ask(address, "POST", f"/photographs/{number}/enhance", wanted)[2])["download"])
    status, _, body = ask(address, "GET", links[0])
    assert (status, "enhance it again" in json.loads(body)["error"]) == (410, True)
    assert ask(address, "GET", links[1])[0] == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no json", "not understood"),
        (b"[]", "not understood"),
        (json.dumps({**WANTED, "mode": "magic"}).encode(), "there is no mode 'magic'"),
        (json.dumps({**WANTED, "weights": [["other", 1]]}).encode(), "no adaptor named 'other'"),
        (json.dumps({**WANTED, "mode": "diffusion", "seed": 2**64}).encode(), "seed is 18446744073709551616"),
    ],
)
def test_a_bad_request_is_answered_with_a_reason(address, eye, body, reason):
    number = json.loads(ask(address, "POST", "/photographs?name=eye.png", eye)[2])["number"]
    status, _, answer = ask(address, "POST", f"/photographs/{number}/enhance", body)
    assert status == 400
    assert reason in json.loads(answer)["error"]


def test_a_broken_file_is_answered_with_its_name(address):
    status, _, body = ask(address, "POST", "/photographs?name=broken.jpg", b"words")
    assert status == 400
    assert "broken.jpg" in json.loads(body)["error"]


def test_other_sites_pages_cannot_change_anything(address, eye, studio):
    status, _, _ = ask(address, "POST", "/photographs?name=eye.png", eye, headers={"Origin": "http://evil.example"})
    assert status == 400
    assert studio.photographs == {}
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Headers": "x-retina-adapt"}
    _, headers, _ = ask(address, "OPTIONS", "/photographs", headers=preflight)
    assert not any(name.lower().startswith("access-control-allow") for name in headers)


def test_a_name_that_was_pointed_at_this_machine_is_not_answered(address):
    assert ask(address, "GET", "/", headers={"Host": "evil.example"})[0] == 400


def test_pages_load_nothing_from_elsewhere_and_files_not_from_the_disk(address):
    status, headers, body = ask(address, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"http://" not in body
    assert b"https://" not in body
    assert ask(address, "GET", "/assets/viewer.js")[0] == 200
    for path in ("/assets/..%2fserver.py", "/assets/server.py", "/assets/app.html"):
        assert ask(address, "GET", path)[0] == 404


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(model_folders):
    backbone, adaptors = model_folders
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AppStartError, match=rf"port {port}.*--port"):
            run_app(adaptors=adaptors, backbone=backbone, port=port, open_browser=False)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_no_photograph_is_left_behind_however_the_app_is_ended(model_folders, tmp_path, monkeypatch, number):
    backbone, adaptors = model_folders
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Forked: importing PyTorch anew would take longer than all the rest.
    context = multiprocessing.get_context("fork")
    addresses = context.SimpleQueue()

    def serve() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
        options = {"port": 0, "open_browser": False, "announce": addresses.put}
        # As the command line does.
        with contextlib.suppress(KeyboardInterrupt):
            run_app(adaptors=adaptors[:1], backbone=backbone, **options)

    process = context.Process(target=serve)
    process.start()
    address = addresses.get()
    assert list(tmp_path.glob("retina_adapt_app_*"))
    assert ask(address.rstrip("/"), "GET", "/")[0] == 200
    os.kill(process.pid, number)
    process.join(60)
    assert not process.is_alive()
    assert not list(tmp_path.glob("retina_adapt_app_*"))
