"""A small S3 Vectors over HTTP: its protocol, its limits and its errors, with vectors compared one by one."""

import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import numpy as np

BUCKET = "vectors-of-tests"
ARN = f"arn:aws:s3vectors:us-east-1:123456789012:bucket/{BUCKET}"
PAGE = 50


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Service:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.indexes: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, dict[str, str]] = {ARN: {}}
        self.calls: list[str] = []
        self.failures: list[tuple[int, str]] = []

    def fail_as_told(self) -> None:
        if self.failures:
            raise Refusal(*self.failures.pop(), "made to fail")

    def index(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["vectorBucketName"] != BUCKET:
            raise Refusal(404, "NotFoundException", "The specified vector bucket could not be found")
        if request["indexName"] not in self.indexes:
            raise Refusal(404, "NotFoundException", "The specified index could not be found")
        return self.indexes[request["indexName"]]

    def get_vector_bucket(self, request):
        if request["vectorBucketName"] != BUCKET:
            raise Refusal(404, "NotFoundException", "The specified vector bucket could not be found")
        return {"vectorBucket": {"vectorBucketName": BUCKET, "vectorBucketArn": ARN, "creationTime": 0,
                                 "encryptionConfiguration": {"sseType": "AES256"}}}  # fmt: skip

    def create_index(self, request):
        name = request["indexName"]
        if name in self.indexes:
            raise Refusal(409, "ConflictException", "An index with the specified name already exists")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
            raise Refusal(400, "ValidationException", "Invalid index name")
        if not 1 <= request["dimension"] <= 4096 or request["dataType"] != "float32":
            raise Refusal(400, "ValidationException", "Invalid dimension")
        self.indexes[name] = {**request, "vectors": {}}
        self.tags[f"{ARN}/index/{name}"] = self.checked(request.get("tags", {}))
        return {"indexArn": f"{ARN}/index/{name}"}

    def delete_index(self, request):
        self.index(request)
        del self.indexes[request["indexName"]]
        del self.tags[f"{ARN}/index/{request['indexName']}"]
        return {}

    def list_indexes(self, request):
        names = sorted(name for name in self.indexes if name.startswith(request.get("prefix", "")))
        return self.page(
            request, "indexes",
            [{"vectorBucketName": BUCKET, "indexName": name, "indexArn": f"{ARN}/index/{name}", "creationTime": 0}
             for name in names],
        )  # fmt: skip

    def put_vectors(self, request):
        index, vectors = self.index(request), request["vectors"]
        if not 1 <= len(vectors) <= 500:
            raise Refusal(400, "ValidationException", "vectors must have length between 1 and 500")
        for vector in vectors:
            values = vector["data"]["float32"]
            if len(values) != index["dimension"]:
                raise Refusal(400, "ValidationException", f"Invalid record for key '{vector['key']}': vector length")
            if index["distanceMetric"] == "cosine" and not any(values):
                raise Refusal(400, "ValidationException", "A zero vector cannot be used with cosine distance")
            hidden = set(index["metadataConfiguration"]["nonFilterableMetadataKeys"])
            shown = {name: value for name, value in vector["metadata"].items() if name not in hidden}
            if len(json.dumps(shown)) > 2048 + 64 or len(json.dumps(vector["metadata"])) > 40960:
                raise Refusal(400, "ValidationException", "Metadata is too large")
        index["vectors"] |= {vector["key"]: vector for vector in vectors}
        return {}

    def get_vectors(self, request):
        vectors, keys = self.index(request)["vectors"], request["keys"]
        if not 1 <= len(keys) <= 100:
            raise Refusal(400, "ValidationException", "keys must have length between 1 and 100")
        return {"vectors": [self.shown(vectors[key], request) for key in keys if key in vectors]}

    def list_vectors(self, request):
        vectors = self.index(request)["vectors"]
        return self.page(request, "vectors", [self.shown(vector, request) for vector in list(vectors.values())])

    def delete_vectors(self, request):
        index = self.index(request)
        if not 1 <= len(request["keys"]) <= 500:
            raise Refusal(400, "ValidationException", "keys must have length between 1 and 500")
        for key in request["keys"]:
            index["vectors"].pop(key, None)
        return {}

    def query_vectors(self, request):
        index = self.index(request)
        hidden = set(index["metadataConfiguration"]["nonFilterableMetadataKeys"])
        query = np.array(request["queryVector"]["float32"])
        found = []
        for vector in index["vectors"].values():
            shown = {name: value for name, value in vector["metadata"].items() if name not in hidden}
            if "filter" in request and not holds(request["filter"], shown):
                continue
            values = np.array(vector["data"]["float32"])
            distance = (
                1 - query @ values / math.sqrt(query @ query) / math.sqrt(values @ values)
                if index["distanceMetric"] == "cosine"
                else float(np.linalg.norm(query - values))
            )
            found.append({"key": vector["key"], "metadata": vector["metadata"], "distance": float(distance)})
        found.sort(key=lambda one: one["distance"])
        return self.page(request, "vectors", found[: request["topK"]]) | {"distanceMetric": index["distanceMetric"]}

    def page(self, request, member, everything):
        start = int(request.get("nextToken", 0))
        size = min(PAGE, request.get("maxResults", PAGE))
        more = {"nextToken": str(start + size)} if start + size < len(everything) else {}
        return {member: everything[start : start + size], **more}

    @staticmethod
    def shown(vector, request):
        wanted = (
            ["key"] + ["data"] * request.get("returnData", False) + ["metadata"] * request.get("returnMetadata", False)
        )
        return {name: vector[name] for name in wanted}

    @staticmethod
    def checked(tags):
        if len(tags) > 50 or not all(re.fullmatch(r"[\w\s.:/=+\-@]{0,256}", text) for text in (*tags, *tags.values())):
            raise Refusal(400, "ValidationException", "Invalid tag")
        return tags

    def tagging(self, method, arn, body, query):
        if arn not in self.tags:
            raise Refusal(404, "NotFoundException", "The specified resource could not be found")
        if method == "GET":
            return {"tags": self.tags[arn]}
        if method == "POST":
            self.tags[arn] = self.checked(self.tags[arn] | body["tags"])
        else:
            for key in re.findall(r"tagKeys=([^&]+)", query):
                self.tags[arn].pop(unquote(key), None)
        return {}


def holds(document, metadata):
    def one(name, wanted):
        if name == "$and":
            return all(holds(part, metadata) for part in wanted)
        operators = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        values = metadata.get(name)
        values = values if isinstance(values, list) else [values]
        return all(any(compare(operator, value, limit) for value in values) for operator, limit in operators.items())

    return all(one(name, wanted) for name, wanted in document.items())


def compare(operator, value, limit):
    if operator == "$in":
        return any(compare("$eq", value, single) for single in limit)
    if isinstance(value, bool) != isinstance(limit, bool):
        return False
    if operator == "$eq":
        return value == limit
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return {"$gt": value > limit, "$gte": value >= limit, "$lt": value < limit, "$lte": value <= limit}[operator]


@contextmanager
def running_service() -> Iterator[tuple[Service, str]]:
    """The service and its address."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Header and body are two writes; the second would wait for the first one's acknowledgement.
        disable_nagle_algorithm = True

        def answer(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            path, _, query = self.path.partition("?")
            try:
                with service.lock:
                    service.calls.append(path[1:])
                    service.fail_as_told()
                    if path.startswith("/tags/"):
                        answer = service.tagging(self.command, unquote(path.removeprefix("/tags/")), body, query)
                    else:
                        operation = re.sub(r"(?<!^)([A-Z])", r"_\1", path[1:]).lower()
                        answer = getattr(service, operation)(body)
                    content, status, headers = json.dumps(answer).encode(), 200, {}
            except Refusal as refusal:
                content, status = json.dumps({"message": str(refusal)}).encode(), refusal.status
                headers = {"x-amzn-errortype": refusal.code}
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(content)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
