"""Which model something serves, and whether that is the expected one."""

import pytest

from embedstack.errors import ModelMismatch
from embedstack.models.model_info import ModelIdentity, ModelInfo

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT, OTHER = "1" * 40, "2" * 40


def info(model_id=MODEL, revision=None):
    return ModelInfo(model_id, 384, 256, "mean", revision=revision)


@pytest.mark.parametrize(
    ("served", "expected", "same"),
    [
        (ModelIdentity(MODEL), info(), True),
        (ModelIdentity(MODEL.upper()), info(), True),
        (ModelIdentity("intfloat/e5-small-v2"), info(), False),
        (ModelIdentity(MODEL, COMMIT), info(), True),
        (ModelIdentity(MODEL), info(revision=COMMIT), True),
        (ModelIdentity(MODEL, COMMIT), info(revision=COMMIT), True),
        (ModelIdentity(MODEL, COMMIT[:8]), info(revision=COMMIT), True),
        (ModelIdentity(MODEL, COMMIT), info(revision=OTHER), False),
        (ModelIdentity(MODEL, "v1"), info(revision="v2"), False),
        (ModelIdentity(MODEL, "main"), info(revision=COMMIT), True),
        (ModelIdentity("other/model", COMMIT), info(revision=COMMIT), False),
    ],
)
def test_identity_matches_the_expected_model(served, expected, same):
    assert served.matches(ModelIdentity.of(expected)) is same
    if same:
        served.require(expected, "Endpoint e")
    else:
        with pytest.raises(ModelMismatch) as caught:
            served.require(expected, "Endpoint e")
        for named in ("Endpoint e", str(served), expected.model_id, "EMBEDDING_MODEL"):
            assert named in str(caught.value)


@pytest.mark.parametrize(
    "identity",
    [
        ModelIdentity(MODEL),
        ModelIdentity(MODEL, COMMIT),
        ModelIdentity("a; b=c é", "x;y"),
        ModelIdentity("BAAI/bge-m3", "main"),
    ],
)
def test_identity_round_trips_through_the_header(identity):
    header = identity.attributes()
    assert header is not None
    assert header.isascii()
    assert ModelIdentity.from_attributes(header) == identity


@pytest.mark.parametrize(
    "header", [None, "", "trace=1", "embedstack-model=", ";;=", "embedstack-revision=x", 3, "\x00"]
)
def test_unrelated_header_names_no_model(header):
    assert ModelIdentity.from_attributes(header) is None


def test_identity_too_long_for_the_header_is_omitted():
    assert ModelIdentity("x" * 1100).attributes() is None
