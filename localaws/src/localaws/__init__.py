"""An AWS emulator: moto, extended so that SageMaker endpoints, functions and databases really run.

All state is in memory and is lost when the local AWS stops. It listens on 127.0.0.1 only.
``localaws.gateway.local_aws.LocalAws`` runs it inside this process, for tests; ``localaws.process.daemon`` runs it in
the background, for development.

The processes of containers import this package too. To keep that fast, this module does not import moto.
"""

from localaws.config import LocalAwsConfig
from localaws.errors import LocalAwsError

__all__ = ["LocalAwsConfig", "LocalAwsError"]
