"""What the functions' handlers are made of; it lies beside ``function.py`` in their packages."""

from handling.package import check_runtime

check_runtime()
