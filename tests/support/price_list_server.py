"""An HTTP server that answers pricing:GetProducts from a synthetic price list, in pages."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["product", "serve_price_list"]

_PAGE = 2


def product(
    usage_type: str,
    usd: str,
    unit: str = "Hrs",
    *,
    region: str = "eu-central-1",
    service: str = "AmazonSageMaker",
    term: str = "OnDemand",
) -> dict[str, Any]:
    """A product of the Price List with one price."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}, "beginRange": "0", "endRange": "Inf"}
    offer = {"effectiveDate": "2026-09-01T00:00:00Z", "priceDimensions": {"X.Y.Z": dimension}}
    return {
        "product": {"sku": "X", "attributes": {"usagetype": usage_type, "regionCode": region}},
        "serviceCode": service,
        "terms": {term: {"X.Y": offer}},
        "publicationDate": "2026-09-28T12:00:00Z",
    }


@contextmanager
def serve_price_list(products: list[dict[str, Any]]) -> Iterator[str]:
    """Serve these products; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            matching = [each for each in products if each["serviceCode"] == request["ServiceCode"]]
            start = int(request.get("NextToken") or 0)
            response: dict[str, Any] = {"PriceList": [json.dumps(each) for each in matching[start : start + _PAGE]]}
            if start + _PAGE < len(matching):
                response["NextToken"] = str(start + _PAGE)
            body = json.dumps(response).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
