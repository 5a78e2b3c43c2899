"""The CloudWatch Logs API: moto's, with patterns of log groups' names and tags that are deleted with their group."""

import json

from moto.logs.exceptions import InvalidParameterException
from moto.logs.responses import LogsResponse

__all__ = ["Logs"]


class Logs(LogsResponse):  # type: ignore[misc]  # moto is untyped
    """The CloudWatch Logs API."""

    def describe_log_groups(self) -> str:
        """DescribeLogGroups; moto ignores the pattern, a case-sensitive part of the name."""
        pattern = self._get_param("logGroupNamePattern")
        if pattern and self._get_param("logGroupNamePrefix"):
            raise InvalidParameterException(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            )
        response = str(super().describe_log_groups())
        if not pattern:
            return response
        document = json.loads(response)
        document["logGroups"] = [group for group in document["logGroups"] if pattern in group["logGroupName"]]
        return json.dumps(document)

    def delete_log_group(self) -> str:
        """DeleteLogGroup; moto would give the tags to the next group of this name."""
        group = self.logs_backend.groups.get(self._get_param("logGroupName"))
        response = str(super().delete_log_group())
        if group is not None:
            self.logs_backend.tagger.delete_all_tags_for_resource(group.arn)
        return response
