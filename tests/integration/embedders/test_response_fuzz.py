"""Damaged responses over HTTP; benchmarks/response_fuzz.py sends more of them."""

import response_fuzz


def test_damaged_responses_return_right_vectors_or_project_errors(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    counts, lines = response_fuzz.run(1_000, seed=1, seconds=30)
    assert lines == []
    assert counts["correct vectors"] > 20
    assert counts["generated text"] > 10
    assert counts["IntegrityError"] > 100
