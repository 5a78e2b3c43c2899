"""The model server that runs in the endpoint's container. Needs the extra ``embedstack[server]``."""

import sys

# OpenVINO reports each of its imports to Google Analytics by this package, from a process that it forks for that, and
# goes without it where it is not installed. A model server reports nothing about itself.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what an import takes for "not there"
