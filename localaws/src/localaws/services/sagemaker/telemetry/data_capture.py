"""Data capture: requests and responses as JSON lines in S3, in SageMaker's layout."""

import base64
import json
import logging
import random
import threading
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localaws.core.clock import SimulatedTime
    from localaws.services.sagemaker.telemetry.identities import VariantId

__all__ = ["CapturedRequest", "DataCapture"]

_logger = logging.getLogger(__name__)

#: SageMaker collects records before it writes a file; it does not publish for how long.
_FLUSH_SECONDS = 60
#: With this many records, a file is written earlier.
_FLUSH_RECORDS = 500


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """One request with its response.

    Attributes:
        variant: The variant that handled it.
        content_type: Content type of the request.
        body: Body of the request.
        response_content_type: Content type of the response.
        response: Body of the response.
        inference_id: The caller's InferenceId, or None.
        custom_attributes: The caller's CustomAttributes, or None.
    """

    variant: "VariantId"
    content_type: str
    body: bytes
    response_content_type: str
    response: bytes
    inference_id: str | None = None
    custom_attributes: str | None = None


class DataCapture:
    """Writes a sample of the requests of one deployment to S3.

    The line format and the keys, ``<prefix>/<endpoint>/<variant>/yyyy/mm/dd/hh/<file>.jsonl``, are those of the
    developer guide's "Data capture from a real-time endpoint".
    """

    def __init__(self, config: "Mapping[str, Any]", time: "SimulatedTime") -> None:
        """Prepare a capture.

        Args:
            config: The DataCaptureConfig of the API.
            time: The clock for records and keys.
        """
        self._share = config["InitialSamplingPercentage"] / 100
        modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        self._input = bool(modes & {"Input", "InputAndOutput"})
        self._output = bool(modes & {"Output", "InputAndOutput"})
        destination = urlsplit(config["DestinationS3Uri"])
        self._bucket, self._prefix = destination.netloc, destination.path.strip("/")
        self._kms_key = config.get("KmsKeyId") or None
        headers = config.get("CaptureContentTypeHeader") or {}
        self._encodings = {
            **dict.fromkeys(headers.get("CsvContentTypes") or [], "CSV"),
            **dict.fromkeys(headers.get("JsonContentTypes") or [], "JSON"),
        }
        self._time = time
        self._lock = threading.Lock()
        self._records: list[tuple[datetime, CapturedRequest]] = []
        self._flushed = time.seconds()
        self._closed = False

    def record(self, request: CapturedRequest) -> None:
        """Record a request, if it is part of the sample."""
        if random.random() < self._share:  # noqa: S311 - a sample, no secret
            with self._lock:
                self._records.append((self._time.now(), request))
            if self._closed:
                # The last request of a deployment is recorded after the deployment is drained.
                self.flush()

    def tick(self) -> None:
        """Write a file if it is due."""
        due = self._time.seconds() - self._flushed >= _FLUSH_SECONDS
        if due or len(self._records) >= _FLUSH_RECORDS:
            self.flush()

    def close(self) -> None:
        """Write all records now, and later ones immediately."""
        self._closed = True
        self.flush()

    def flush(self) -> None:
        """Write all records."""
        with self._lock:
            records, self._records = self._records, []
            self._flushed = self._time.seconds()
        files: dict[tuple[VariantId, str], list[tuple[datetime, CapturedRequest]]] = defaultdict(list)
        for moment, request in records:
            files[request.variant, moment.strftime("%Y/%m/%d/%H")].append((moment, request))
        for (variant, hour), lines in files.items():
            name = f"{lines[0][0].strftime('%M-%S')}-{lines[0][0].microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
            parts = [self._prefix, variant.endpoint, variant.variant, hour, name]
            content = "".join(json.dumps(self._line(moment, request)) + "\n" for moment, request in lines)
            self._write(variant, "/".join(part for part in parts if part), content.encode())

    def _write(self, variant: "VariantId", key: str, content: bytes) -> None:
        encryption = {"encryption": "aws:kms", "kms_key_id": self._kms_key} if self._kms_key else {}
        try:
            s3_backends[variant.account_id]["aws"].put_object(self._bucket, key, content, **encryption)
        except S3ClientError as error:
            # As on AWS, the endpoint continues without data capture.
            _logger.warning("data capture of %s cannot write to its bucket: %s", variant.endpoint, type(error).__name__)

    def _line(self, moment: datetime, request: CapturedRequest) -> dict[str, Any]:
        data = {}
        if self._input:
            data["endpointInput"] = self._part("INPUT", request.content_type, request.body)
        if self._output:
            data["endpointOutput"] = self._part("OUTPUT", request.response_content_type, request.response)
        metadata: dict[str, Any] = {"eventId": str(uuid.uuid4())}
        if request.custom_attributes is not None:
            metadata["customAttributes"] = [request.custom_attributes]
        if request.inference_id is not None:
            metadata["inferenceId"] = request.inference_id
        metadata["inferenceTime"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}

    def _part(self, mode: str, content_type: str, body: bytes) -> dict[str, str]:
        """A body, encoded as configured for its content type; BASE64 by default."""
        encoding = self._encodings.get(content_type.partition(";")[0].strip(), "BASE64")
        data = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8", errors="replace")
        return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
