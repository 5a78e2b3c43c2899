"""The model server that runs in the endpoint's container. Needs the extra ``embedstack[server]``."""

import sys

# Disables OpenVINO's telemetry: on import, OpenVINO forks a process that reports to Google Analytics through this
# package, and skips that if the package is not installed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes an import fail
