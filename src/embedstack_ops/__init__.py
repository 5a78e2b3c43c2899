"""Operators' tools: the `embedstack` command, Terraform, endpoint validation and Lambda packages.

Needs the extra ``embedstack[ops]``.
"""
