"""Client of the service, which needs neither TensorFlow nor any package.

It works as well with TensorFlow Serving itself, whose protocol it speaks.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from twofold.components.errors import TwofoldError


class ClientError(TwofoldError):
    """A request without an answer; `status` is the HTTP status, None where no server answered."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EncoderClient:
    """Asks a served encoder.

    client = EncoderClient("http://127.0.0.1:8501")
    vectors = client.embed(["cat.jpg", "dog.jpg"])
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8501",
        name: str = "encoder",
        *,
        timeout_seconds: float = 60.0,
    ) -> None:
        self._model_url = f"{url.rstrip('/')}/v1/models/{quote(name, safe='')}"
        self._timeout_seconds = timeout_seconds

    def status(self) -> list[dict[str, Any]]:
        """The versions that the server knows, each with its `version` and `state`."""
        statuses: list[dict[str, Any]] = self._ask("")["model_version_status"]
        return statuses

    def metadata(self) -> dict[str, Any]:
        """The signatures, by name, each with its `inputs` and `outputs`."""
        metadata = self._ask("/metadata")["metadata"]
        signatures: dict[str, Any] = metadata["signature_def"]["signature_def"]
        return signatures

    def predict_bytes(
        self, images: Sequence[bytes], signature_name: str = "serving_default"
    ) -> list[Any]:
        """Run a signature whose one input is bytes.

        Args:
            images: B encoded images, such as the contents of JPEG files.
            signature_name: the signature.

        Returns:
            B predictions: each the value of the one output, or a dict of the outputs by name.

        Raises:
            ClientError: the server refused the request, with its message, or cannot be reached.

        """
        instances = [{"b64": base64.b64encode(image).decode()} for image in images]
        body = {"signature_name": signature_name, "instances": instances}
        predictions: list[Any] = self._ask(":predict", body)["predictions"]
        return predictions

    def embed(self, images: Sequence[Path | str | bytes]) -> list[list[float]]:
        """Embed images given as paths or as encoded bytes, of JPEG or PNG files.

        A model refuses any other format by what its files begin with: send these as PNG.

        Returns:
            B vectors of D floats, which are float32 values.

        Raises:
            ClientError: the server refused the request, with its message, or cannot be reached.
            OSError: a path cannot be read.

        """
        contents = [
            image if isinstance(image, bytes) else Path(image).read_bytes() for image in images
        ]
        predictions = self.predict_bytes(contents)
        return [
            prediction["embedding"] if isinstance(prediction, dict) else prediction
            for prediction in predictions
        ]

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(
            self._model_url + path, data, headers={"Content-Type": "application/json"}
        )
        try:
            with urlopen(request, timeout=self._timeout_seconds) as response:
                return json.load(response)
        except HTTPError as error:
            with error:
                raise ClientError(_message(error.read(), error.reason), error.code) from error
        except (URLError, TimeoutError, ConnectionError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise ClientError(f"No answer from {self._model_url}: {reason}") from error


def _message(body: bytes, reason: str) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return reason
