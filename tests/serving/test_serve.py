"""The whole service in a process of its own: starting, refusing to start, and stopping."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from twofold.components.errors import ModelDirectoryError, PortInUseError
from twofold.serving.rest import serve


def test_a_request_under_way_is_answered_before_sigterm_ends_the_service(serving_process):
    process, server = serving_process
    assert server.ask("GET", "/readyz").status == 200
    assert server.predict({"instances": ["four"]}).status == 200
    with ThreadPoolExecutor(1) as background:
        slow = background.submit(server.predict, {"signature_name": "slow", "inputs": 6000})
        time.sleep(0.3)
        assert not slow.done()
        process.send_signal(signal.SIGTERM)
        assert slow.result(30).status == 200
    assert process.wait(30) == 0
    with pytest.raises(ConnectionRefusedError):
        server.ask("GET", "/healthz")


def test_interrupting_an_idle_service_ends_it_at_once(serving_process):
    process, server = serving_process
    with socket.create_connection(("127.0.0.1", server.port)):  # a client that says nothing
        start = time.perf_counter()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert time.perf_counter() - start < 10


def test_a_busy_port_is_named(model_dir):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"Port {port} of 127.0.0.1 is in use"):
            serve(model_dir, rest_port=port)


def test_an_address_of_another_machine_is_named(model_dir):
    with pytest.raises(OSError, match=r"Cannot listen at 192\.0\.2\.1:8501"):
        serve(model_dir, host="192.0.2.1")


def test_a_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelDirectoryError, match="expected"):
        serve(tmp_path, rest_port=0)


def test_a_damaged_model_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ModelDirectoryError, match="cannot be loaded"):
        serve(tmp_path, rest_port=0)
