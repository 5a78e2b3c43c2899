"""moto's clusters and instances, with the address and the state of a Postgres that runs."""

import json
import secrets
from typing import Any

from moto.rds.models import DBCluster, DBInstanceClustered

from localaws.services.rds.service import Database

__all__ = ["PORT", "AuroraCluster", "AuroraInstance", "name_master_user"]

#: In the name of the socket, and so the only one.
PORT = 5432


class AuroraCluster(DBCluster):  # type: ignore[misc]  # moto is untyped
    """A cluster whose connections go to a Postgres on this machine."""

    database: Database

    @classmethod
    def take(cls, cluster: Any, database: Database) -> None:
        """Make one of moto's clusters one of these.

        Args:
            cluster: The cluster, whose class moto chooses by itself.
            database: Its Postgres.
        """
        cluster.__class__ = cls
        cluster.database = database

    @property
    def endpoint(self) -> str:
        """The address of the writer: libpq takes the folder of a Unix socket for a host."""
        return self.database.address

    @property
    def reader_endpoint(self) -> str:
        """The same: one server answers for all instances."""
        return self.database.address

    @property
    def scaling_configuration_info(self) -> None:
        """Nothing: of the clusters that scale, only those of the engine mode ``serverless`` have it."""


class AuroraInstance(DBInstanceClustered):  # type: ignore[misc]  # moto is untyped
    """An instance of such a cluster; the first one brings the server up."""

    cluster: AuroraCluster

    @property
    def address(self) -> str:
        """Where it takes connections."""
        return self.cluster.database.address

    @property
    def port(self) -> int:
        """The cluster's, as on AWS."""
        return PORT

    @port.setter
    def port(self, _: int) -> None:
        """Nothing: an instance has no port of its own."""

    @property
    def status(self) -> str:
        """What becomes of the server, or of the instance where moto says so."""
        own: str = self.__dict__["status"]
        return self.cluster.database.state if own == "available" else own

    @status.setter
    def status(self, value: str) -> None:
        self.__dict__["status"] = value


def name_master_user(cluster: Any) -> None:
    """Write the master user's name and a password of its own into the secret that RDS manages for a cluster.

    RDS's secrets hold these two alone ("Password management with Amazon RDS and AWS Secrets Manager", RDS user guide).
    moto writes ``admin`` whatever the name.

    Args:
        cluster: A cluster of moto's.
    """
    content = json.dumps({"username": cluster.master_username, "password": secrets.token_urlsafe(21)})
    for version in cluster.master_user_secret.secret.versions.values():
        version["secret_string"] = content
