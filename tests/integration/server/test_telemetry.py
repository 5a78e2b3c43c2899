"""Nobody hears of a model server: not even that it started."""

import subprocess
import sys

WATCHED = """
import sys

def see(event, _):
    if event in {"os.fork", "subprocess.Popen", "os.posix_spawn", "socket.connect", "socket.getaddrinfo"}:
        print(event)

sys.addaudithook(see)
import embedstack_server.http.server
import embedstack_server.compute.encoder
import openvino
print("openvino", "is imported" if openvino.__version__ else "")
"""


def test_importing_the_model_server_starts_no_process_and_connects_to_nothing():
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True)
    assert done.stdout == "openvino is imported\n"
