"""The process behind a container, started by the local AWS.

It reads one JSON document from standard input, ``{"protocol", "model_folder", "model_id", "environment"}``, and serves
``GET /ping`` and ``POST /invocations`` on the listening socket that it inherited, with the protocol of the container
image. It exits when the local AWS is gone.
"""

import argparse
import json
import logging
import os
import socket
import sys

from localaws.process.lifeline import exit_with_parent

#: Longer than a client keeps an unused connection, so that no connection closes just as it is used again.
_KEEP_ALIVE_SECONDS = 3600


def main() -> int:
    """Serve until SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("label", help="label in the process list, such as endpoint/variant")
    parser.add_argument("--listener-fd", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--lifeline-fd", type=int, required=True, help="file descriptor that ends with the local AWS")
    options = parser.parse_args()
    exit_with_parent(options.lifeline_fd)
    specification = json.load(sys.stdin)
    os.environ.update(specification["environment"])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)

    # Imported late: this loads OpenVINO, and the process has to end with the local AWS meanwhile, too.
    from localaws.services.sagemaker.containers.protocols import model_server  # noqa: PLC0415

    server = model_server(specification["protocol"], specification["model_folder"], specification["model_id"])
    return server.run(socket.socket(fileno=options.listener_fd), keep_alive=_KEEP_ALIVE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
