"""Check that a deployed endpoint returns correct vectors, fast enough: ``embedstack validate``."""

import needed_packages  # noqa: F401 - exits if packages are missing

# isort: split
from embedstack_ops.cli.validate import main

if __name__ == "__main__":
    main()
