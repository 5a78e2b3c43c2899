from datetime import UTC, datetime

import pytest

from embedstack.documents.dead_letters import DeadLetter


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("DocumentRefused: encrypted: The document a.pdf needs a password: remove it.", "DocumentRefused: encrypted"),
        ("Throttled: SageMaker answered: too many requests", "Throttled"),
        ("failed again and again", "failed again and again"),
    ],
)
def test_letters_are_counted_by_kind(reason, kind):
    letter = DeadLetter("1", ("a.pdf",), reason, datetime.now(UTC), "{}", "receipt")
    assert letter.kind == kind
