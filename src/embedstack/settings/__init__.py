"""Settings from arguments, the environment, ``.env`` and a YAML file, in this order."""

from embedstack.settings.settings import (
    LocalAwsSettings,
    Settings,
    change_settings,
    load_local_aws_settings,
    load_settings,
)

__all__ = ["LocalAwsSettings", "Settings", "change_settings", "load_local_aws_settings", "load_settings"]
