"""The model server makes no outbound connections: OpenVINO's telemetry is disabled."""

import subprocess
import sys

WATCHED = """
import sys

def report(event, _):
    if event in {"os.fork", "subprocess.Popen", "os.posix_spawn", "socket.connect", "socket.getaddrinfo"}:
        print(event)

sys.addaudithook(report)
import embedstack_server.http.server
import embedstack_server.compute.encoder
import openvino
print("openvino", "is imported" if openvino.__version__ else "")
"""


def test_importing_the_server_starts_no_process_and_no_connection():
    completed = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True)
    assert completed.stdout == "openvino is imported\n"
