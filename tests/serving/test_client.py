import socket
import subprocess
import sys

import pytest

from twofold.serving.client import ClientError, EncoderClient


@pytest.fixture
def client(server) -> EncoderClient:
    return EncoderClient(server.url + "/", "enc")


def test_status_and_metadata(client):
    assert [version["state"] for version in client.status()] == ["AVAILABLE"]
    assert set(client.metadata()["embed"]["inputs"]) == {"images"}


def test_predictions_of_bytes(client):
    first, second = client.predict_bytes([b"\xff\xd8", b""])
    assert first == {"embedding": [2.0, 1.0, 0.666666687], "probabilities": [0.25, 0.75]}
    assert second["embedding"] == [0.0, 0.0, 0.0]
    assert client.predict_bytes([b"one"], "texts") == [
        {"same": "one", "same_bytes": {"b64": "b25l"}}
    ]


def test_embeddings_of_paths_and_bytes(client, tmp_path):
    (tmp_path / "image.jpg").write_bytes(b"1234")
    path = tmp_path / "image.jpg"
    assert client.embed([path, str(path), b"1234"]) == [[4.0, 2.0, 1.33333337]] * 3


def test_refusals_carry_the_servers_message_and_status(client, server):
    with pytest.raises(ClientError, match='"nothing" not found in signature def') as caught:
        client.predict_bytes([b"x"], "nothing")
    assert caught.value.status == 400
    with pytest.raises(ClientError, match="Could not find any versions of model other") as caught:
        EncoderClient(server.url, "other").status()
    assert caught.value.status == 404


def test_no_server_is_said_with_its_address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ClientError, match=f"No answer from http://127.0.0.1:{port}") as caught:
        EncoderClient(f"http://127.0.0.1:{port}").status()
    assert caught.value.status is None


def test_importing_the_client_imports_no_package():
    code = (
        "import sys, twofold.serving.client\n"
        "print({'tensorflow', 'numpy', 'aiohttp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
