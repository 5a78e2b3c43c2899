"""The RDS API: moto's, with a Postgres behind each Aurora PostgreSQL cluster."""

from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBClusterNotFoundError, RDSClientError
from moto.rds.responses import RDSResponse

from localaws.services.rds.records import PORT, AuroraCluster, AuroraInstance, name_master_user
from localaws.services.rds.service import DatabaseHost

__all__ = ["Rds"]

_ENGINE = "aurora-postgresql"
#: Where no name is given, Aurora has this one alone.
_DEFAULT_DATABASE = "postgres"


class Rds(RDSResponse):  # type: ignore[misc]  # moto is untyped
    """Clusters of Aurora PostgreSQL run while they have an instance; all else is moto's, and has no server."""

    host: ClassVar[DatabaseHost]

    def create_db_cluster(self) -> ActionResult:
        """CreateDBCluster; moto would put it in the place of one that is there."""
        cluster_id = self.params["DBClusterIdentifier"].lower()
        if any(cluster.db_cluster_identifier == cluster_id for cluster in self.backend.clusters.values()):
            raise RDSClientError("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        answer: ActionResult = super().create_db_cluster()
        cluster = self.backend.clusters[self.params["DBClusterIdentifier"]]
        if cluster.manage_master_user_password:
            name_master_user(cluster)
        if _can_run(cluster):
            name = f"{cluster_id}-{cluster.url_identifier}"
            database = self.host.place(name, cluster.database_name or _DEFAULT_DATABASE, cluster.master_username)
            AuroraCluster.take(cluster, database)
        return answer

    def modify_db_cluster(self) -> ActionResult:
        """ModifyDBCluster, of one that is there; a new secret names the master user, too."""
        cluster = self._cluster()
        known = getattr(cluster, "master_user_secret", None)
        answer: ActionResult = super().modify_db_cluster()
        if getattr(cluster, "master_user_secret", None) not in (None, known):
            name_master_user(cluster)
        return answer

    def delete_db_cluster(self) -> ActionResult:
        """DeleteDBCluster, with what is in it."""
        answer: ActionResult = super().delete_db_cluster()
        cluster = answer.result["DBCluster"]
        cluster.status = "deleting"
        if isinstance(cluster, AuroraCluster):
            self.host.remove(cluster.database)
        return answer

    def stop_db_cluster(self) -> ActionResult:
        """StopDBCluster: what is in it stays."""
        answer: ActionResult = super().stop_db_cluster()
        cluster = self._cluster()
        if isinstance(cluster, AuroraCluster):
            self.host.stop(cluster.database)
        return answer

    def start_db_cluster(self) -> ActionResult:
        """StartDBCluster."""
        answer: ActionResult = super().start_db_cluster()
        self._run(self._cluster())
        return answer

    def create_db_instance(self) -> ActionResult:
        """CreateDBInstance; a cluster's first one brings up its server."""
        answer: ActionResult = super().create_db_instance()
        instance = answer.result["DBInstance"]
        cluster = self.backend.clusters.get(instance.db_cluster_identifier)
        if isinstance(cluster, AuroraCluster):
            instance.__class__ = AuroraInstance
            self._run(cluster)
        return answer

    def delete_db_instance(self) -> ActionResult:
        """DeleteDBInstance; without its last one a cluster takes no connections."""
        answer: ActionResult = super().delete_db_instance()
        cluster = self.backend.clusters.get(answer.result["DBInstance"].db_cluster_identifier)
        if isinstance(cluster, AuroraCluster) and not cluster.members:
            self.host.stop(cluster.database)
        return answer

    def _cluster(self) -> Any:
        cluster_id = self.params["DBClusterIdentifier"]
        if cluster_id not in self.backend.clusters:
            raise DBClusterNotFoundError(cluster_id)
        return self.backend.clusters[cluster_id]

    def _run(self, cluster: Any) -> None:
        if isinstance(cluster, AuroraCluster) and cluster.members and cluster.status != "stopped":
            self.host.run(cluster.database)


def _can_run(cluster: Any) -> bool:
    return bool(cluster.engine == _ENGINE and cluster.engine_mode == "provisioned" and cluster.port == PORT)
