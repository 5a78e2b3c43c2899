"""moto's clusters and instances, with the address and the state of a Postgres server."""

import json
import secrets
from typing import Any

from moto.rds.models import DBCluster, DBInstanceClustered, rds_backends

from localaws.services.rds.service import Database

__all__ = ["PORT", "AuroraCluster", "AuroraInstance", "clusters", "set_master_user_secret"]

#: Part of the socket's name, and therefore the only port.
PORT = 5432


class AuroraCluster(DBCluster):  # type: ignore[misc]  # moto is untyped
    """A cluster with a Postgres server on this machine."""

    database: Database

    @property
    def runs(self) -> bool:
        """Whether its server is to run: while it has an instance and is not stopped."""
        return bool(self.members) and self.status != "stopped"

    @classmethod
    def convert(cls, cluster: Any, database: Database) -> None:
        """Convert one of moto's clusters, since moto chooses the class when it creates one.

        Args:
            cluster: moto's cluster.
            database: Its Postgres server.
        """
        cluster.__class__ = cls
        cluster.database = database

    @property
    def endpoint(self) -> str:
        """The address of the writer: the folder of a Unix socket, which libpq accepts as a host."""
        return self.database.address

    @property
    def reader_endpoint(self) -> str:
        """The address of the writer: all instances share one server."""
        return self.database.address

    @property
    def scaling_configuration_info(self) -> None:
        """None: only clusters with the engine mode ``serverless`` have it."""


class AuroraInstance(DBInstanceClustered):  # type: ignore[misc]  # moto is untyped
    """An instance of such a cluster."""

    cluster: AuroraCluster

    @property
    def address(self) -> str:
        """The address of the cluster's server."""
        return self.cluster.database.address

    @property
    def port(self) -> int:
        """The cluster's port, as on AWS."""
        return PORT

    @port.setter
    def port(self, _: int) -> None:
        """Ignore the port that moto sets."""

    @property
    def status(self) -> str:
        """The state of the server while moto's status is ``available``, else moto's status."""
        status: str = self.__dict__["status"]
        return self.cluster.database.state if status == "available" else status

    @status.setter
    def status(self, value: str) -> None:
        self.__dict__["status"] = value


def clusters() -> list[AuroraCluster]:
    """The clusters with a Postgres server, of all accounts and regions."""
    backends = [backend for _, _, backend in rds_backends.iter_backends()]
    return [each for backend in backends for each in backend.clusters.values() if isinstance(each, AuroraCluster)]


def set_master_user_secret(cluster: Any) -> None:
    """Write the master user's name and a new password into the secret that RDS manages for a cluster.

    RDS's secrets hold only these two ("Password management with Amazon RDS and AWS Secrets Manager", RDS user guide).
    moto always writes the name ``admin``.

    Args:
        cluster: moto's cluster.
    """
    content = json.dumps({"username": cluster.master_username, "password": secrets.token_urlsafe(21)})
    for version in cluster.master_user_secret.secret.versions.values():
        version["secret_string"] = content
