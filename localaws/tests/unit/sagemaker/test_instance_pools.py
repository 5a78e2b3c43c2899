"""Placement of copies of inference components on instances."""

import pytest

from localaws.services.sagemaker.containers.instance_types import Resources, resources_of
from localaws.services.sagemaker.endpoints.settings import PoolSpec
from localaws.services.sagemaker.inference_components.pools import InstancePool, NotEnoughResources
from localaws.services.sagemaker.telemetry.identities import VariantId

ONE_CORE = Resources(1, 128, 0)


def pool(low: int = 0, high: int = 3, *, managed: bool = True, instance_type: str = "ml.c6i.large") -> InstancePool:
    return InstancePool(_spec(low, high, managed=managed, instance_type=instance_type))


def _spec(low: int, high: int, *, managed: bool = True, instance_type: str = "ml.c6i.large") -> PoolSpec:
    scaling = {"Status": "ENABLED" if managed else "DISABLED", "MinInstanceCount": low, "MaxInstanceCount": high}
    variant = {"InstanceType": instance_type, "InitialInstanceCount": 1, "ManagedInstanceScaling": scaling}
    return PoolSpec(VariantId("1", "r", "e", "v"), variant)


@pytest.mark.parametrize(
    ("instance_type", "cores", "accelerators"),
    [
        ("ml.c6i.large", 2, 0),
        ("ml.m7i.48xlarge", 192, 0),
        ("ml.c4.8xlarge", 36, 0),
        ("ml.t2.medium", 2, 0),
        ("ml.g4dn.xlarge", 4, 1),
        ("ml.g5.12xlarge", 48, 4),
        ("ml.p6e-gb200.36xlarge", 144, 4),
        ("ml.inf2.xlarge", 4, 1),
    ],
)
def test_resources_of_an_instance_type(instance_type: str, cores: float, accelerators: float) -> None:
    resources = resources_of(instance_type)
    assert (resources.cpu_cores, resources.accelerators) == (cores, accelerators)


def test_schedulable_memory_matches_observations_on_aws() -> None:
    assert resources_of("ml.g5.xlarge").holds(Resources(0, 1024, 1))
    assert not resources_of("ml.g5.xlarge").holds(Resources(0, 4096, 1))


def test_managed_instances_follow_the_copies() -> None:
    instances = pool()
    counts = []
    for copies in (1, 1, 1, 3):
        instances.place("a", ONE_CORE, copies)
        counts.append(instances.instance_count)
    assert counts == [1, 1, 2, 3]
    with pytest.raises(NotEnoughResources, match="There is not enough hardware resources"):
        instances.place("b", ONE_CORE, 1)
    for copies in (2, 2, 2):
        instances.release("a", copies)
        counts.append(instances.instance_count)
    assert counts[4:] == [2, 1, 0]


def test_place_changes_nothing_if_not_all_copies_fit() -> None:
    instances = pool(high=1)
    with pytest.raises(NotEnoughResources):
        instances.place("a", ONE_CORE, 3)
    instances.place("b", ONE_CORE, 2)
    assert instances.instance_count == 1


def test_place_rejects_a_copy_larger_than_an_instance() -> None:
    instances = pool(high=5)
    with pytest.raises(NotEnoughResources):
        instances.place("a", Resources(3, 128, 0), 1)
    assert instances.instance_count == 1


def test_unmanaged_instances_stay() -> None:
    instances = pool(managed=False)
    instances.place("a", ONE_CORE, 2)
    with pytest.raises(NotEnoughResources):
        instances.place("a", ONE_CORE, 1)
    instances.release("a")
    assert instances.instance_count == 1


def test_release_keeps_instances_of_other_components() -> None:
    instances = pool()
    instances.place("a", ONE_CORE, 1)
    instances.place("b", ONE_CORE, 1)
    assert instances.instance_count == 1
    instances.release("a")
    assert instances.instance_count == 1
    instances.release("b")
    assert instances.instance_count == 0


def test_replace_changes_the_resources_of_copies() -> None:
    instances = pool(high=1)
    instances.place("a", ONE_CORE, 2)
    with pytest.raises(NotEnoughResources):
        instances.replace("a", Resources(2, 128, 0), 2)
    instances.replace("a", Resources(2, 128, 0), 1)
    instances.replace("a", ONE_CORE, 2)
    assert instances.instance_count == 1


def test_configure_places_the_copies_again() -> None:
    instances = pool()
    instances.place("a", ONE_CORE, 4)
    with pytest.raises(NotEnoughResources):
        instances.configure(_spec(0, 1))
    assert instances.instance_count == 2
    instances.configure(_spec(0, 1, instance_type="ml.c6i.xlarge"))
    assert instances.instance_count == 1
    instances.configure(_spec(2, 3, instance_type="ml.c6i.xlarge"))
    assert instances.instance_count == 2
