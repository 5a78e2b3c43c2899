"""Embed a text with the deployed endpoint: ``embedstack invoke``."""

import needed_packages  # noqa: F401 - exits if packages are missing

# isort: split
from embedstack_ops.cli.invoke import main

if __name__ == "__main__":
    main()
