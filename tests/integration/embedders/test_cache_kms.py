"""A cache whose key is wrapped by KMS, on the local AWS."""

import threading

import boto3
import numpy as np
import pytest

from embedstack import load_embedder
from embedstack.cache.cached_embedder import SqliteCache
from embedstack.cache.kms import KmsKey
from embedstack.embedders.fake import fake_vector
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings

NAME, VECTOR = bytes(32), np.arange(8, dtype=np.float32)


@pytest.fixture(scope="module")
def kms(aws):
    return boto3.client("kms")


@pytest.fixture(scope="module")
def key_id(kms):
    return kms.create_key()["KeyMetadata"]["KeyId"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache.db"


def load(file, key_id, **options):
    return load_embedder(
        embedding_backend="fake", embedstack_cache_file=file, embedstack_cache_kms_key=key_id, **options
    )


def test_kms_cache_is_read_by_the_next_process(file, kms, key_id):
    kms.create_alias(AliasName="alias/embeddings", TargetKeyId=key_id)
    with load(file, "alias/embeddings") as embedder:
        embedder.embed(["x"])
    with load(file, key_id) as embedder:
        np.testing.assert_array_equal(embedder.embed(["x"])[0], fake_vector("x", 8))
        assert embedder.stats().cache_hits == 1
    content = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert fake_vector("x", 8).tobytes() not in content


def test_second_process_uses_the_key_of_the_first(aws, file, key_id):
    start = threading.Barrier(4)
    caches = []

    def open_and_put():
        start.wait()
        cache = SqliteCache(file, key=KmsKey(key_id, aws.settings))
        cache.put({NAME: VECTOR})
        caches.append(cache)

    threads = [threading.Thread(target=open_and_put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caches) == 4
    for cache in caches:
        np.testing.assert_array_equal(cache.get([NAME])[NAME], VECTOR)
        cache.close()


def test_another_kms_key_is_rejected(aws, file, kms, key_id):
    SqliteCache(file, key=KmsKey(key_id, aws.settings)).close()
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    with pytest.raises(ConfigurationError, match=f"different KMS key, not {other}. Set EMBEDSTACK_CACHE_KMS_KEY"):
        SqliteCache(file, key=KmsKey(other, aws.settings))


def test_kms_file_opens_only_with_kms(aws, file, key_id):
    SqliteCache(file, key=KmsKey(key_id, aws.settings)).close()
    with pytest.raises(ConfigurationError, match="with an AWS KMS key: set EMBEDSTACK_CACHE_KMS_KEY"):
        SqliteCache(file)
    with pytest.raises(ConfigurationError, match=r"cannot be used in us-east-1 .*NotFoundException"):
        SqliteCache(file.with_name("other.db"), key=KmsKey("alias/nowhere", aws.settings))


def test_disabled_kms_key_is_rejected(aws, file, kms):
    disabled = kms.create_key()["KeyMetadata"]["KeyId"]
    SqliteCache(file, key=KmsKey(disabled, aws.settings)).close()
    kms.disable_key(KeyId=disabled)
    for path in (file, file.with_name("new.db")):
        with pytest.raises(ConfigurationError, match=r"DisabledException.*enabled, symmetric key"):
            SqliteCache(path, key=KmsKey(disabled, aws.settings))
    kms.schedule_key_deletion(KeyId=disabled)
    with pytest.raises(ConfigurationError, match="KMSInvalidStateException"):
        SqliteCache(file, key=KmsKey(disabled, aws.settings))


def test_two_cache_keys_are_rejected(file, key_id):
    with pytest.raises(ConfigurationError, match="not both"):
        load(file, key_id, embedstack_cache_key="x")


def test_kms_key_respects_allowed_regions(file, key_id):
    with pytest.raises(ConfigurationError, match="AWS_REGION is us-east-1"):
        KmsKey(key_id, load_settings(aws_allowed_regions="eu-*"))
