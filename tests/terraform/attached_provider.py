"""One provider process for many `terraform test` runs, which would start it anew for every run: a second of processor
time each."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ATTACH = re.compile(r"TF_REATTACH_PROVIDERS='(.*)'")


@contextmanager
def attached_provider(folder: Path) -> Iterator[dict[str, str]]:
    """The provider of an initialised folder, running.

    Only for mocked tests: those never configure it, and it takes a second configuration badly.

    Yields:
        The environment variable that makes Terraform use it.
    """
    (program,) = folder.glob(".terraform/providers/*/hashicorp/aws/*/*/terraform-provider-aws_*")
    process = subprocess.Popen([program, "-debug"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        attach = next(found[1] for line in process.stdout if (found := _ATTACH.search(line)))
        yield {"TF_REATTACH_PROVIDERS": attach}
    finally:
        process.terminate()
        process.communicate()
