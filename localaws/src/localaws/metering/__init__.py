"""Metering: what runs in the local AWS, at the price book's prices."""
