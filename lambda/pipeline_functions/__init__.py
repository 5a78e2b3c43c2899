"""Modules that the Lambda functions share; their packages contain this folder next to ``function.py``."""

from pipeline_functions.package_checks import check_runtime

check_runtime()
