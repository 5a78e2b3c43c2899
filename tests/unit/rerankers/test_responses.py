"""Responses of rerankers: every form that is not exactly one score for each text is an error."""

import numpy as np
import pytest

from embedstack.errors import CountMismatch, IntegrityError, InvalidScores
from embedstack.rerankers.responses import read_scores


def entries(*pairs):
    return [{"index": index, "score": score} for index, score in pairs]


def test_scores_are_returned_in_the_order_of_texts():
    scores = read_scores(entries((2, 0.5), (0, 1), (1, -3.25)), 3, "score", "It")
    assert scores.dtype == np.float32
    assert scores.tolist() == [1.0, -3.25, 0.5]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ({"results": []}, IntegrityError),
        ("text", IntegrityError),
        (None, IntegrityError),
        ([0.5, 0.25], IntegrityError),
        ([[0.5], [0.25]], IntegrityError),
        (entries((0, 0.5)), CountMismatch),
        (entries((0, 0.5), (1, 0.5), (2, 0.5)), CountMismatch),
        ([], CountMismatch),
        (entries((0, 0.5), (0, 0.5)), InvalidScores),
        (entries((0, 0.5), (2, 0.5)), InvalidScores),
        (entries((0, 0.5), (-1, 0.5)), InvalidScores),
        (entries((0, 0.5), (True, 0.5)), InvalidScores),
        (entries((0, 0.5), ("1", 0.5)), InvalidScores),
        (entries((0, 0.5), (1.0, 0.5)), InvalidScores),
        (entries((0, 0.5), (None, 0.5)), InvalidScores),
        (entries((0, 0.5), (1, None)), InvalidScores),
        (entries((0, 0.5), (1, "0.5")), InvalidScores),
        (entries((0, 0.5), (1, True)), InvalidScores),
        (entries((0, 0.5), (1, [0.5])), InvalidScores),
        ([{"index": 0, "score": 1}, {"index": 1, "relevance_score": 1}], InvalidScores),
    ],
)
def test_invalid_response_is_rejected(response, error):
    with pytest.raises(error):
        read_scores(response, 2, "score", "It")


def test_score_beyond_float32_is_not_finite():
    assert not np.isfinite(read_scores(entries((0, 1e300)), 1, "score", "It")).any()
