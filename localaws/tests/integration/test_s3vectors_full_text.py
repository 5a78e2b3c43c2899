"""Full-text and hybrid queries of S3 Vectors over HTTP."""

import math

import pytest

from localaws import LocalAwsConfig
from tests.support.localaws.vector_calls import BUCKET, create, error_text, refusal, vector

INDEX = {"vectorBucketName": BUCKET, "indexName": "articles"}
TEXTS = {
    "a": "error E-4711 of the pump",
    "b": "the pump was replaced",
    "c": "a valve of the pump leaks, and a second valve",
    "d": "annual report",
}
DIRECTIONS = {"a": (0.0, 1.0), "b": (1.0, 0.0), "c": (1.0, 0.5), "d": (1.0, 0.2)}


@pytest.fixture(scope="module")
def config():
    return LocalAwsConfig(port=0, clock_speed=0)


@pytest.fixture
def articles(vectors):
    """An index whose non-filterable key ``body`` and filterable key ``title`` are searchable, with four vectors."""
    configuration = {
        "nonFilterableMetadataKeys": ["body"],
        "textSearchConfigurations": [{"metadataKey": "body", "language": "en"}, {"metadataKey": "title"}],
    }
    create(vectors, "articles", 2, metadataConfiguration=configuration)
    records = [vector(key, *DIRECTIONS[key], body=TEXTS[key], number=number) for number, key in enumerate(TEXTS)]
    vectors.put_vectors(**INDEX, vectors=records)
    yield vectors
    vectors.delete_index(**INDEX)


def search(client, texts, *, k=10, near=None, **options):
    if isinstance(texts, str):
        texts = {"body": texts}
    query_texts = [{"metadataKey": key, "text": text} for key, text in texts.items()]
    near = {"queryVector": {"float32": near}} if near else {}
    return client.query_vectors(**INDEX, queryTexts=query_texts, topK=k, returnScores=True, **near, **options)


def keys(response):
    return [found["key"] for found in response["vectors"]]


def configurations(client):
    configuration = client.get_index(**INDEX)["index"]["metadataConfiguration"]
    return configuration.get("textSearchConfigurations")


def test_get_index_returns_active_configurations_after_creation(articles):
    index = articles.get_index(**INDEX)["index"]
    assert index["indexMode"] == "ENHANCED"
    assert index["metadataConfiguration"]["nonFilterableMetadataKeys"] == ["body"]
    assert configurations(articles) == [
        {"metadataKey": "body", "language": "en", "status": "ACTIVE"}, {"metadataKey": "title", "status": "ACTIVE"},
    ]  # fmt: skip


def test_full_text_query_ranks_by_bm25(articles):
    response = search(articles, "valves", returnDistance=True, returnMetadata=True)
    (found,) = response["vectors"]
    assert (found["key"], found["metadata"]["number"]) == ("c", 2)
    assert "distance" not in found
    # ln(1 + (4 - 1 + 0.5) / (1 + 0.5)) · tf · 2.2 / (tf + 1.2 · (0.25 + 0.75 · length / mean length)), for tf = 2.
    # "the", "of", "was", "a" and "and" do not count.
    lengths = [4, 2, 5, 2]
    norm = 1.2 * (0.25 + 0.75 * 5 / (sum(lengths) / 4))
    expected = math.log(1 + 3.5 / 1.5) * 2 * 2.2 / (2 + norm)
    assert found["scores"] == {"bm25Scores": [{"metadataKey": "body", "score": pytest.approx(expected)}]}
    # A rare term outweighs one of three of the four texts; a shorter text outweighs a longer one.
    assert keys(search(articles, "pump 4711")) == ["a", "b", "c"]
    assert keys(search(articles, "pump 4711", k=1)) == ["a"]
    assert keys(search(articles, "?!")) == []


def test_full_text_query_adds_up_the_scores_of_its_keys(articles):
    articles.put_vectors(**INDEX, vectors=[vector("e", 1.0, 1.0, body="annual report", title="Annual report")])
    both = search(articles, {"title": "report", "body": "report"})["vectors"]
    assert [found["key"] for found in both] == ["e", "d"]
    assert [score["metadataKey"] for score in both[0]["scores"]["bm25Scores"]] == ["title", "body"]
    assert [score["metadataKey"] for score in both[1]["scores"]["bm25Scores"]] == ["body"]


def test_hybrid_query_fuses_rankings_by_reciprocal_rank(articles):
    response = search(articles, "valve pump", near=[1.0, 0.0], returnDistance=True)
    # By vector: b, d, c, a. By text: c, which has both words, then the shorter b, then a.
    assert keys(response) == ["b", "c", "a", "d"]
    fused = {"b": 1 / 61 + 1 / 62, "c": 1 / 63 + 1 / 61, "a": 1 / 64 + 1 / 63, "d": 1 / 62}
    for found in response["vectors"]:
        assert found["scores"]["fused"] == pytest.approx(fused[found["key"]])
        assert found["scores"]["vectorDistance"] == found["distance"]
        assert bool(found["scores"]["bm25Scores"]) == (found["key"] in "abc")
    assert response["vectors"][0]["distance"] == pytest.approx(0, abs=1e-6)
    # A result of the full-text search alone has no distance.
    first, second = search(articles, "4711", near=[1.0, 0.0], k=2)["vectors"]
    assert (first["key"], second["key"]) == ("b", "a")
    assert "vectorDistance" in first["scores"]
    assert "vectorDistance" not in second["scores"]


def test_hybrid_query_applies_its_filter_before_the_search(articles):
    response = search(articles, "valve pump", near=[1.0, 0.0], k=1, filter={"number": {"$lt": 1}})
    assert keys(response) == ["a"]
    assert response["vectors"][0]["scores"]["fused"] == pytest.approx(2 / 61)
    message = "ValidationException: Invalid use of non-filterable metadata in filter"
    assert error_text(search, articles, "pump", filter={"body": "annual report"}) == message


def test_scores_are_returned_on_request_only(articles):
    texts = [{"metadataKey": "body", "text": "valve"}]
    response = articles.query_vectors(**INDEX, queryTexts=texts, topK=2)
    assert response["vectors"] == [{"key": "c"}]
    near = {"float32": [1.0, 0.0]}
    response = articles.query_vectors(**INDEX, queryVector=near, topK=1, returnScores=True)
    assert response["vectors"] == [{"key": "b"}]


def test_full_text_query_sees_every_write_immediately(articles):
    articles.put_vectors(**INDEX, vectors=[vector("a", 0.0, 1.0, body="a new motor"), vector("b", 1.0, 0.0)])
    assert keys(search(articles, "pump")) == ["c"]
    assert keys(search(articles, "motors")) == ["a"]
    articles.delete_vectors(**INDEX, keys=["a", "none"])
    assert keys(search(articles, "motors")) == []
    assert keys(search(articles, "replaced")) == []


def test_full_text_query_returns_pages(articles):
    records = [vector(f"p{number:03}", 1.0, 0.0, body="lever " * (1 + number)) for number in range(150)]
    articles.put_vectors(**INDEX, vectors=records)
    first = search(articles, "lever", k=130)
    second = search(articles, "lever", k=130, nextToken=first["nextToken"])
    assert (len(first["vectors"]), len(second["vectors"]), "nextToken" in second) == (100, 30, False)
    assert len(set(keys(first) + keys(second))) == 130
    assert error_text(search, articles, "pump", k=130, nextToken=first["nextToken"]).startswith("ValidationException")


def test_metadata_key_becomes_searchable_after_its_backfill(aws, articles):
    articles.update_metadata_configuration(**INDEX, delete={"textSearchConfigurations": [{"metadataKey": "body"}]})
    assert "has no text search configuration" in error_text(search, articles, "pump")
    added = {"textSearchConfigurations": [{"metadataKey": "body", "language": "en"}]}
    arn = articles.update_metadata_configuration(**INDEX, add=added)["indexArn"]
    assert arn == articles.get_index(**INDEX)["index"]["indexArn"]
    assert configurations(articles)[-1] == {"metadataKey": "body", "language": "en", "status": "BUILDING"}
    assert "BUILDING" in error_text(search, articles, "pump")
    assert len(articles.query_vectors(**INDEX, queryVector={"float32": [1.0, 0.0]}, topK=9)["vectors"]) == 4
    articles.put_vectors(**INDEX, vectors=[vector("e", 1.0, 0.0, body="pumps")])
    aws.advance(10)
    assert configurations(articles)[-1]["status"] == "ACTIVE"
    assert sorted(keys(search(articles, "pump"))) == ["a", "b", "c", "e"]


def test_update_metadata_configuration_rejects_invalid_changes(articles):
    def update(**changes):
        return articles.update_metadata_configuration(**INDEX, **changes)

    body, other = ({"textSearchConfigurations": [{"metadataKey": key}]} for key in ("body", "other"))
    assert "either add or delete" in error_text(update)
    assert "either add or delete" in error_text(update, add=other, delete=body)
    assert error_text(update, add=body).startswith("ConflictException")
    assert error_text(update, delete=other).startswith("ValidationException")
    assert "Each metadata key" in error_text(update, add={"textSearchConfigurations": [{"metadataKey": "x"}] * 2})
    nine = [{"metadataKey": f"key{number}"} for number in range(9)]
    assert "at most 10" in error_text(update, add={"textSearchConfigurations": nine})
    unknown = {"textSearchConfigurations": [{"metadataKey": "x", "language": "sv"}]}
    assert "language" in error_text(update, add=unknown)
    update(add={"textSearchConfigurations": nine[:8]})
    assert len(configurations(articles)) == 10


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "'/queryTexts'"),
        ([{"metadataKey": f"k{number}", "text": "a"} for number in range(11)], "'/queryTexts'"),
        ([{"metadataKey": "body", "text": "a"}] * 2, "distinct"),
        ([{"metadataKey": "body", "text": ""}], "'/queryTexts/0/text'"),
        ([{"metadataKey": "body", "text": "a" * 1025}], "'/queryTexts/0/text'"),
        ([{"metadataKey": "body"}], "'/queryTexts/0/text'"),
        ([{"metadataKey": "number", "text": "a"}], "no text search configuration"),
    ],
)
def test_query_rejects_invalid_texts(articles, texts, message):
    response = refusal(articles.query_vectors, **INDEX, queryTexts=texts, topK=1)
    assert response["Error"]["Code"] == "ValidationException"
    assert message in response["Error"]["Message"]
    assert articles.query_vectors(**INDEX, queryTexts=[{"metadataKey": "body", "text": "a" * 1024}], topK=1)


def test_create_index_rejects_invalid_text_search_configurations(vectors):
    for configurations, message in (
        ([{"metadataKey": "x"}] * 2, "Each metadata key"),
        ([{"metadataKey": f"k{number}"} for number in range(11)], "textSearchConfigurations"),
        ([{"metadataKey": "x", "language": "english"}], "language"),
    ):
        configuration = {"textSearchConfigurations": configurations}
        assert message in error_text(create, vectors, "invalid", metadataConfiguration=configuration)
    assert all(index["indexName"] != "invalid" for index in vectors.list_indexes(vectorBucketName=BUCKET)["indexes"])


def test_index_mode_stays_enhanced(articles):
    articles.update_index_mode(**INDEX, indexMode="ENHANCED")
    articles.put_vector_bucket_default_index_mode(vectorBucketName=BUCKET, defaultIndexMode="ENHANCED")
    assert "September 30, 2026" in error_text(articles.update_index_mode, **INDEX, indexMode="CLASSIC")
    assert "September 30, 2026" in error_text(
        articles.put_vector_bucket_default_index_mode, vectorBucketName=BUCKET, defaultIndexMode="CLASSIC"
    )
