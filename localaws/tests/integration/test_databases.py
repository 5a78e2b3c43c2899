"""Aurora PostgreSQL clusters as local Postgres servers."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError

from embedstack.settings.settings import Settings
from embedstack.stores import load_store
from localaws import LocalAwsConfig
from localaws.faults.chaos import RandomKills, processes
from localaws.process import daemon
from localaws.process.identity import ProcessIdentity
from tests.integration.stores.samples import collection, records
from tests.support.localaws.harness import Aws, wait_until

CLUSTER = {
    "Engine": "aurora-postgresql",
    "EngineVersion": "17",
    "DatabaseName": "vectors",
    "MasterUsername": "owner",
    "ManageMasterUserPassword": True,
}
INSTANCE = {"Engine": "aurora-postgresql", "DBInstanceClass": "db.serverless"}


@pytest.fixture(scope="module")
def rds(aws: Aws) -> Any:
    return aws.client("rds")


@pytest.fixture(scope="module")
def cluster(rds: Any) -> dict[str, Any]:
    return bring_up(rds, "kept")


@pytest.fixture
def settings(aws: Aws, cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What terraform/modules/vector-store puts into the environment of who stores."""
    for name, value in {**connection(cluster), "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}.items():
        monkeypatch.setenv(name, value)
    secret = cluster["MasterUserSecret"]["SecretArn"]
    return Settings(
        aws_region="us-east-1", aws_endpoint_url=aws.server.url, vector_store="postgres", database_secret_arn=secret
    )


def bring_up(rds: Any, name: str, **options: Any) -> dict[str, Any]:
    """Create a cluster with one instance; its description, once it takes connections."""
    response = rds.create_db_cluster(DBClusterIdentifier=name, **CLUSTER, **options)
    assert response["DBCluster"]["Status"] == "creating"
    instance = rds.create_db_instance(DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name, **INSTANCE)
    assert instance["DBInstance"]["DBInstanceStatus"] == "creating"
    wait_until(lambda: status(rds, f"{name}-1") == "available")
    return describe(rds, name)


def take_down(rds: Any, name: str) -> None:
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1", SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)


def describe(rds: Any, name: str) -> dict[str, Any]:
    (cluster,) = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    return dict(cluster)


def status(rds: Any, instance: str) -> str:
    (instance_description,) = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    return str(instance_description["DBInstanceStatus"])


def connection(cluster: dict[str, Any]) -> dict[str, str]:
    """libpq's variables for a cluster."""
    return {
        "PGDATABASE": cluster["DatabaseName"],
        "PGHOST": cluster["Endpoint"],
        "PGPORT": str(cluster["Port"]),
        "PGSSLMODE": "require",
    }


def ask(cluster: dict[str, Any], statement: str) -> Any:
    address = f"host={cluster['Endpoint']} user=owner dbname={cluster['DatabaseName']}"
    with psycopg.connect(address, autocommit=True) as connected:
        done = connected.execute(statement)
        return done.fetchall() if done.description else None


def servers(state_dir: Path) -> list[ProcessIdentity]:
    return [process for process, kind in processes(state_dir).items() if kind == "database"]


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_cluster_and_instances_share_an_address(rds: Any, cluster: dict[str, Any]) -> None:
    (instance,) = rds.describe_db_instances(DBInstanceIdentifier="kept-1")["DBInstances"]
    assert (cluster["Status"], cluster["Port"], Path(cluster["Endpoint"]).is_dir()) == ("available", 5432, True)
    assert instance["Endpoint"] == {"Address": cluster["Endpoint"], "Port": 5432}
    assert cluster["ReaderEndpoint"] == cluster["Endpoint"]
    assert "ScalingConfigurationInfo" not in cluster
    assert ask(cluster, "SHOW listen_addresses") == [("",)]


def test_master_user_secret_has_name_and_password(aws: Aws, cluster: dict[str, Any]) -> None:
    secret = cluster["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    value = aws.client("secretsmanager").get_secret_value(SecretId=secret["SecretArn"])
    content = json.loads(value["SecretString"])
    assert content.keys() == {"username", "password"}
    assert content["username"] == "owner"
    assert re.fullmatch(r"\S{28}", content["password"])


def test_killed_database_restarts_with_its_data(aws: Aws, settings: Settings) -> None:
    with load_store(settings) as store:
        opened = store.open(collection("killed"))
        opened.upsert(records(20))
        before = servers(aws.server.state_dir)
        with RandomKills(aws.server.state_dir, seed=1, interval=0.1, most=1, kinds=["database"]) as chaos:
            wait_until(lambda: chaos.is_done)
        assert chaos.kills == {"database": 1}
        assert opened.count() == 20
        assert opened.search(records(20)[7].vector, k=1)[0].record.id == "r00007"
    # It takes connections a moment before it is recorded.
    wait_until(lambda: len(servers(aws.server.state_dir)) == 1)
    assert servers(aws.server.state_dir) != before


def test_stopped_database_keeps_its_data(rds: Any, cluster: dict[str, Any]) -> None:
    ask(cluster, "CREATE TABLE notes AS SELECT 1 AS number")
    rds.stop_db_cluster(DBClusterIdentifier="kept")
    assert (describe(rds, "kept")["Status"], status(rds, "kept-1")) == ("stopped", "stopped")
    with pytest.raises(psycopg.OperationalError):
        ask(cluster, "SELECT 1")
    code, message = refusal(rds.stop_db_cluster, DBClusterIdentifier="kept")
    assert code == "InvalidDBClusterStateFault"
    assert "stopped" in message
    rds.start_db_cluster(DBClusterIdentifier="kept")
    wait_until(lambda: status(rds, "kept-1") == "available")
    assert ask(cluster, "SELECT number FROM notes") == [(1,)]


def test_deleted_database_leaves_nothing(aws: Aws, rds: Any, cluster: dict[str, Any]) -> None:
    other = servers(aws.server.state_dir)
    gone = bring_up(rds, "gone", DeletionProtection=True)
    assert ask(gone, "SELECT current_user, current_database()") == [("owner", "vectors")]
    (server,) = set(servers(aws.server.state_dir)) - set(other)
    code, _ = refusal(rds.delete_db_cluster, DBClusterIdentifier="gone", SkipFinalSnapshot=True)
    assert code == "InvalidParameterCombination"
    rds.modify_db_cluster(DBClusterIdentifier="gone", DeletionProtection=False, ApplyImmediately=True)
    code, message = refusal(rds.delete_db_cluster, DBClusterIdentifier="gone", SkipFinalSnapshot=True)
    assert (code, message) == (
        "InvalidDBClusterStateFault",
        "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
    )
    assert ask(gone, "SELECT 1") == [(1,)]
    take_down(rds, "gone")
    assert not server.alive
    assert servers(aws.server.state_dir) == other
    assert not Path(gone["Endpoint"]).exists()
    secret = gone["MasterUserSecret"]["SecretArn"]
    assert refusal(aws.client("secretsmanager").describe_secret, SecretId=secret)[0] == "ResourceNotFoundException"
    assert ask(cluster, "SELECT 1") == [(1,)]


def test_duplicate_and_missing_clusters_are_rejected(rds: Any, cluster: dict[str, Any]) -> None:
    again = {"DBClusterIdentifier": "KEPT", **CLUSTER}
    assert refusal(rds.create_db_cluster, **again) == ("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    for call in (rds.modify_db_cluster, rds.start_db_cluster, rds.delete_db_cluster):
        assert refusal(call, DBClusterIdentifier="none")[0] == "DBClusterNotFoundFault"
    assert describe(rds, "kept")["DbClusterResourceId"] == cluster["DbClusterResourceId"]


def test_other_engines_and_ports_have_no_server(aws: Aws, rds: Any) -> None:
    before = servers(aws.server.state_dir)
    others: dict[str, dict[str, Any]] = {"mysql": {"Engine": "aurora-mysql"}, "port": {"Port": 6000}}
    for name, options in others.items():
        made = rds.create_db_cluster(**{"DBClusterIdentifier": name, **CLUSTER, "EngineVersion": "17.4", **options})
        engine = made["DBCluster"]["Engine"]
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name, Engine=engine, DBInstanceClass="db.serverless"
        )
        assert made["DBCluster"]["Endpoint"].endswith(".rds.amazonaws.com")
        assert status(rds, f"{name}-1") == "available"
        take_down(rds, name)
    assert servers(aws.server.state_dir) == before


def test_security_group_rule_keeps_its_description(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    names = ("functions", "database")
    functions, database = (ec2.create_security_group(GroupName=name, Description=name)["GroupId"] for name in names)
    port = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
    pairs = [{"GroupId": functions, "Description": "Postgres"}]
    ec2.authorize_security_group_ingress(GroupId=database, IpPermissions=[{**port, "UserIdGroupPairs": pairs}])
    filters = [{"Name": "group-id", "Values": [database]}]
    described = ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    (rule,) = (rule for rule in described if not rule["IsEgress"])
    assert (rule["ReferencedGroupInfo"]["GroupId"], rule["Description"]) == (functions, "Postgres")
    change = {**port, "ReferencedGroupId": functions, "Description": "Clients"}
    changes = [{"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": change}]
    ec2.modify_security_group_rules(GroupId=database, SecurityGroupRules=changes)
    described = ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    assert [rule["Description"] for rule in described if not rule["IsEgress"]] == ["Clients"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[daemon.RunningLocalAws]:
    yield daemon.start(LocalAwsConfig(port=0, stop_grace=5), tmp_path / "state")
    daemon.stop(tmp_path / "state")


def test_killed_local_aws_leaves_no_database_process(running: daemon.RunningLocalAws) -> None:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    rds: Any = boto3.client("rds", endpoint_url=running.url, region_name=running.region, **keys)  # type: ignore[call-overload]
    bring_up(rds, "orphan")
    (server,) = servers(running.state_dir)
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not server.alive)
    assert daemon.stop(running.state_dir) is False
    assert sorted(path.name for path in running.state_dir.iterdir()) == ["containers", "localaws.lock", "localaws.log"]
    assert list((running.state_dir / "containers").iterdir()) == []


def test_instance_without_cluster_is_stored(rds: Any) -> None:
    created = rds.create_db_instance(
        DBInstanceIdentifier="single", Engine="postgres", DBInstanceClass="db.t4g.micro", AllocatedStorage=20
    )
    assert created["DBInstance"]["DBInstanceIdentifier"] == "single"
    assert "DBClusterIdentifier" not in created["DBInstance"]
    rds.delete_db_instance(DBInstanceIdentifier="single", SkipFinalSnapshot=True)
    with pytest.raises(ClientError, match="DBInstanceNotFound"):
        rds.describe_db_instances(DBInstanceIdentifier="single")
