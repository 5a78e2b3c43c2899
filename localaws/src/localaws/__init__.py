"""AWS on this machine: moto, plus SageMaker endpoints that are running model servers.

Everything lives in memory: stopping the local AWS forgets every bucket, role and endpoint. It listens on 127.0.0.1
only. ``server.LocalAws`` runs it inside this process (tests), ``daemon`` in the background (development).

The endpoints' containers import this package too, so importing it must stay cheap: nothing here imports moto.
"""

from localaws.config import LocalAwsConfig
from localaws.errors import LocalAwsError

__all__ = ["LocalAwsConfig", "LocalAwsError"]
