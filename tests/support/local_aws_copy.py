"""What a copied local AWS runs; imported by the process that is copied. See tests/copied_local_aws.py."""

import gc
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import botocore.session

from localaws.__main__ import import_local_aws, main

# What copies are spared.
import_local_aws()
for _service in ("cloudformation", "cloudwatch", "iam", "lambda", "logs", "s3", "sagemaker", "sqs"):
    botocore.session.get_session().get_component("data_loader").load_service_model(_service, "service-2")
# A copy that looked through what is there for good for garbage would copy the memory too.
gc.freeze()


def run(
    arguments: list[str],
    environment: dict[str, str],
    log: Connection,
    report: Connection,
    lifeline: Connection | None = None,
) -> None:
    """Be a local AWS, as ``python -m localaws`` would be with these arguments and this environment."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    for standard in (1, 2):
        os.dup2(log.fileno(), standard)
    log.close()
    sys.argv[1:] = [*arguments, f"--report-fd={os.dup(report.fileno())}"]
    report.close()
    if lifeline is not None:
        sys.argv.append(f"--lifeline-fd={os.dup(lifeline.fileno())}")
        lifeline.close()
    sys.exit(main())
