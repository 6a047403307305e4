"""The REST surface against the behaviour of TensorFlow Serving, one case a rule."""

import base64
import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from twofold.serving.repository import Repository
from twofold.serving.rest import create_app

PREDICT = "/v1/models/enc:predict"


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@pytest.mark.parametrize("path", ["/v1/models/enc", "/v1/models/enc/versions/3", "/V1/Models/enc"])
def test_status(server, path):
    answer = server.ask("GET", path)
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.json == {
        "model_version_status": [
            {
                "version": "3",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


def test_metadata(server):
    answer = server.ask("GET", "/v1/models/enc/metadata")
    assert answer.status == 200
    assert answer.json["model_spec"] == {"name": "enc", "signature_name": "", "version": "3"}
    signatures = answer.json["metadata"]["signature_def"]["signature_def"]
    images = signatures["embed"]["inputs"]["images"]
    assert images["dtype"] == "DT_UINT8"
    assert images["tensor_shape"] == {
        "dim": [{"size": size, "name": ""} for size in ("-1", "2", "2", "1")],
        "unknown_rank": False,
    }
    assert signatures["embed"]["method_name"] == "tensorflow/serving/predict"
    assert server.ask("GET", "/v1/models/enc/versions/3/metadata").json == answer.json


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models/X", 404, "Could not find any versions of model X"),
        ("GET", "/v1/models/a%20b", 404, "Could not find any versions of model a b"),
        ("GET", "/v1/models/enc/versions/9", 404, "Could not find version 9 of model enc"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("POST", "/v1/models/enc", 400, "Malformed request: POST /v1/models/enc"),
        ("PUT", "/v1/models/enc", 400, "Malformed request: PUT /v1/models/enc"),
        (
            "POST",
            "/v1/models/enc/versions/HELLO:predict",
            400,
            "Malformed request: POST /v1/models/enc/versions/HELLO:predict",
        ),
        (
            "GET",
            "/v1/models/enc/versions/99999999999999999999",
            400,
            "Failed to convert version: 99999999999999999999 to numeric.",
        ),
        (
            "GET",
            "/v1/models/enc/versions/9/metadata",
            404,
            "Servable not found for request: Specific(enc, 9)",
        ),
        ("GET", "/v1/models/X/metadata", 404, "Servable not found for request: Latest(X)"),
        ("GET", "/foo", 404, "Not Found: GET /foo"),
        ("GET", "/", 404, "Not Found: GET /"),
        ("POST", "/healthz", 405, "Method Not Allowed: POST /healthz"),
    ],
)
def test_paths_that_have_no_answer(server, method, path, status, message):
    answer = server.ask(method, path, b"{}" if method != "GET" else None)
    assert (answer.status, answer.error) == (status, message)
    assert answer.content_type == "application/json"


def test_row_format_with_several_outputs(server):
    answer = server.predict({"instances": [b64(b"four")]})
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.json == {
        "predictions": [{"embedding": [4.0, 2.0, 1.33333337], "probabilities": [0.25, 0.75]}]
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"signature_name": "embed", "instances": [[[[1], [2]], [[3], [4]]]]},
            {"predictions": [[10.0, 5.0]]},
        ),
        (
            {"signature_name": "embed", "inputs": {"images": [[[[1], [2]], [[3], [4]]]]}},
            {"outputs": [[10.0, 5.0]]},
        ),
        (
            {
                "signature_name": "pair",
                "instances": [{"a": [1, 2], "b": 3}, {"a": [0, 0.5], "b": 1}],
            },
            {"predictions": [6.0, 1.5]},
        ),
        (
            {"signature_name": "pair", "inputs": {"a": [[1, 2]], "b": [3]}},
            {"outputs": [6.0]},
        ),
        (
            {"signature_name": "texts", "instances": ["hé"]},
            {"predictions": [{"same": "hé", "same_bytes": b64("hé".encode())}]},
        ),
        ({"signature_name": "total", "inputs": [1, 2]}, {"outputs": 3.0}),
        ({"signature_name": "joined", "inputs": ["a", "b"]}, {"outputs": "ab"}),
        ({"signature_name": "", "inputs": []}, {"outputs": {"embedding": [], "probabilities": []}}),
    ],
)
def test_predictions(server, body, expected):
    answer = server.predict(body)
    assert (answer.status, answer.json) == (200, expected)


def test_a_version_may_be_named(server):
    body = {"signature_name": "same", "instances": [3]}
    answer = server.predict(body, "/v1/models/enc/versions/3:predict")
    assert (answer.status, answer.text) == (200, '{"predictions": [3.0]}')


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b'{"instances": [1,]}', "JSON Parse error: Invalid value. at offset: 17"),
        ([1], "JSON Value: [\n    1\n] Is not object"),
        ({"x": 1}, "Missing 'inputs' or 'instances' key"),
        ({"instances": 1}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"signature_name": 5}, "'signature_name' key must be a string value."),
        (
            {"signature_name": "x", "instances": [1]},
            'Serving signature name: "x" not found in signature def',
        ),
        (
            {"signature_name": "embed", "instances": ["x"]},
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "x" Type: String is not of expected type: uint8',
        ),
        ({"instances": [{"b64": "!"}]}, "Unable to base64 decode"),
        (
            {"signature_name": "pair", "instances": [{"k": 1}]},
            "JSON object: does not have named input: k",
        ),
        (
            {"signature_name": "pair", "inputs": {"a": [[1, 2]]}},
            "Missing named input: b in 'inputs' object.",
        ),
        (
            {"signature_name": "embed", "instances": [[[[1], [2]], [[3], [300]]]]},
            "JSON Value: 300 Type: Number is not of expected type: uint8",
        ),
        (
            {"signature_name": "pair", "inputs": {"a": [[1, 2, 3]], "b": [1]}},
            'Input "a" of signature "pair" has shape [1,3], expected [?,2]',
        ),
        ({"signature_name": "positive", "inputs": [-1]}, "assertion failed: [not positive"),
        ({"signature_name": "total", "instances": [1]}, "has no shape information"),
    ],
)
def test_refused_predictions(server, body, message):
    answer = server.predict(body)
    assert answer.status == 400
    assert message in answer.error


def test_unknown_model_is_told_after_the_json_is_parsed(server):
    for name, text in [("X", "Latest(X)"), ("enc/versions/9", "Specific(enc, 9)")]:
        answer = server.predict({"instances": [1]}, f"/v1/models/{name}:predict")
        assert (answer.status, answer.error) == (404, f"Servable not found for request: {text}")
        assert server.predict(b"{", f"/v1/models/{name}:predict").status == 400


def test_the_server_survives_every_wrong_rank(server):
    values = np.zeros((2, 2, 2, 2, 1), np.uint8)
    for _ in range(5):
        body = {"signature_name": "embed", "inputs": values.tolist()}
        assert server.predict(body).status == (200 if values.ndim == 4 else 400)
        values = values[0]
    assert server.ask("GET", "/healthz").status == 200


def test_bodies_may_be_zipped(server):
    data = gzip.compress(json.dumps({"signature_name": "same", "inputs": [1]}).encode())
    zipped = {"Content-Encoding": "gzip"}
    assert server.ask("POST", PREDICT, data, zipped).json == {"outputs": [1.0]}
    broken = server.ask("POST", PREDICT, b"this is not gzip", zipped)
    assert broken.status == 400
    assert "body cannot be read" in broken.error


def test_bodies_and_instances_are_capped(repository, running):
    with running(lambda: create_app(repository, max_body_bytes=5000, max_instances=4)) as server:
        plain = server.predict(b" " * 6000)
        bomb = gzip.compress(b" " * 20_000_000)
        zipped = server.ask("POST", PREDICT, bomb, {"Content-Encoding": "gzip"})
        for answer in (plain, zipped):
            assert answer.status == 413
            assert "5000" in answer.error
        many = server.predict({"signature_name": "same", "instances": [1] * 5})
        assert (many.status, many.error) == (
            400,
            "The request holds 5 instances, and 4 is the most",
        )


def test_readiness_follows_loading_and_health_does_not(model_dir, running):
    repository = Repository("enc", model_dir)
    with running(lambda: create_app(repository)) as server:
        assert server.ask("GET", "/healthz").status == 200
        assert server.ask("GET", "/readyz").status == 503
        state = server.ask("GET", "/v1/models/enc").json["model_version_status"][0]["state"]
        assert state == "LOADING"
        assert server.predict({"instances": ["x"]}).status == 404
        repository.load()
        assert server.ask("GET", "/readyz").status == 200
        assert server.predict({"instances": ["x"]}).status == 200


def test_a_busy_model_leaves_health_quick_and_its_queue_bounded(repository, running):
    slow = {"signature_name": "slow", "inputs": 5000}
    with (
        running(lambda: create_app(repository, max_waiting=1)) as server,
        ThreadPoolExecutor(1) as background,
    ):
        answer = background.submit(server.predict, slow)
        time.sleep(0.1)
        start = time.perf_counter()
        assert server.ask("GET", "/healthz").status == 200
        refused = server.predict({"signature_name": "same", "inputs": [1]})
        assert not answer.done()
        assert time.perf_counter() - start < 1
        assert refused.status == 503
        assert "no more can wait" in refused.error
        assert answer.result().status == 200
        assert server.predict({"signature_name": "same", "inputs": [1]}).status == 200


def test_requests_at_once_get_each_its_own_answer(server):
    def ask(number: int) -> float:
        answer = server.predict({"signature_name": "same", "instances": [number]})
        value: float = answer.json["predictions"][0]
        return value

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(64))) == list(range(64))
