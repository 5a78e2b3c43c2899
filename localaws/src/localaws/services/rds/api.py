"""The Amazon RDS API: moto's, with a Postgres server for each Aurora PostgreSQL cluster."""

from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBClusterNotFoundError, RDSClientError
from moto.rds.responses import RDSResponse

from localaws.services.rds.records import PORT, AuroraCluster, AuroraInstance, set_master_user_secret
from localaws.services.rds.service import DatabaseHost

__all__ = ["SIMPLIFICATIONS", "Rds"]

SIMPLIFICATIONS = {
    "CreateDBCluster": "Aurora PostgreSQL on port 5432 runs, as one local Postgres per cluster; other engines do not.",
    "CreateDBInstance": "All instances of a cluster share its server; the address is the folder of a Unix socket.",
}

_ENGINE = "aurora-postgresql"
#: The only database of a cluster without DatabaseName.
_DEFAULT_DATABASE = "postgres"


class Rds(RDSResponse):  # type: ignore[misc]  # moto is untyped
    """Aurora PostgreSQL clusters run while they have an instance. Everything else is moto's and has no server."""

    host: ClassVar[DatabaseHost]

    def create_db_cluster(self) -> ActionResult:
        """CreateDBCluster; moto would replace an existing cluster."""
        cluster_id = self.params["DBClusterIdentifier"].lower()
        if any(cluster.db_cluster_identifier == cluster_id for cluster in self.backend.clusters.values()):
            raise RDSClientError("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        response: ActionResult = super().create_db_cluster()
        cluster = self.backend.clusters[self.params["DBClusterIdentifier"]]
        if cluster.manage_master_user_password:
            set_master_user_secret(cluster)
        if _can_run(cluster):
            name = f"{cluster_id}-{cluster.url_identifier}"
            database = self.host.new_database(name, cluster.database_name or _DEFAULT_DATABASE, cluster.master_username)
            AuroraCluster.convert(cluster, database)
        return response

    def modify_db_cluster(self) -> ActionResult:
        """ModifyDBCluster; moto would ignore a missing cluster and the user name in a new secret."""
        cluster = self._cluster()
        old_secret = getattr(cluster, "master_user_secret", None)
        response: ActionResult = super().modify_db_cluster()
        if getattr(cluster, "master_user_secret", None) not in (None, old_secret):
            set_master_user_secret(cluster)
        return response

    def delete_db_cluster(self) -> ActionResult:
        """DeleteDBCluster with its data."""
        response: ActionResult = super().delete_db_cluster()
        cluster = response.result["DBCluster"]
        cluster.status = "deleting"
        if isinstance(cluster, AuroraCluster):
            self.host.remove(cluster.database)
        return response

    def stop_db_cluster(self) -> ActionResult:
        """StopDBCluster; the data stays."""
        response: ActionResult = super().stop_db_cluster()
        cluster = self._cluster()
        if isinstance(cluster, AuroraCluster):
            self.host.stop(cluster.database)
        return response

    def start_db_cluster(self) -> ActionResult:
        """StartDBCluster."""
        response: ActionResult = super().start_db_cluster()
        self._run(self._cluster())
        return response

    def create_db_instance(self) -> ActionResult:
        """CreateDBInstance; the first instance of a cluster starts its server."""
        response: ActionResult = super().create_db_instance()
        instance = response.result["DBInstance"]
        cluster = self._cluster_of(instance)
        if isinstance(cluster, AuroraCluster):
            instance.__class__ = AuroraInstance
            self._run(cluster)
        return response

    def delete_db_instance(self) -> ActionResult:
        """DeleteDBInstance; deleting the last instance of a cluster stops its server."""
        response: ActionResult = super().delete_db_instance()
        cluster = self._cluster_of(response.result["DBInstance"])
        if isinstance(cluster, AuroraCluster) and not cluster.members:
            self.host.stop(cluster.database)
        return response

    def _cluster(self) -> Any:
        cluster_id = self.params["DBClusterIdentifier"]
        if cluster_id not in self.backend.clusters:
            raise DBClusterNotFoundError(cluster_id)
        return self.backend.clusters[cluster_id]

    def _cluster_of(self, instance: Any) -> Any:
        """The cluster of an instance; None for an instance without a cluster."""
        # moto looks up identifiers in lower case, which None does not have.
        return self.backend.clusters.get(instance.db_cluster_identifier or "")

    def _run(self, cluster: Any) -> None:
        if isinstance(cluster, AuroraCluster) and cluster.runs:
            self.host.run(cluster.database)


def _can_run(cluster: Any) -> bool:
    return bool(cluster.engine == _ENGINE and cluster.engine_mode == "provisioned" and cluster.port == PORT)
