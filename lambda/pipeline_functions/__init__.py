"""Modules that the Lambda functions share; their packages hold this folder beside ``function.py``."""

from pipeline_functions.package_checks import check_runtime

check_runtime()
