"""Messages of the dead-letter queue."""

from datetime import UTC, datetime

import pytest

from embedstack.documents.dead_letter_queue import DeadLetterMessage


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("DocumentRefused: encrypted: The document a.pdf needs a password: remove it.", "DocumentRefused: encrypted"),
        ("Throttled: SageMaker answered: too many requests", "Throttled"),
        ("failed repeatedly", "failed repeatedly"),
    ],
)
def test_message_kind_is_the_reason_without_its_sentence(reason, kind):
    message = DeadLetterMessage("1", ("a.pdf",), reason, datetime.now(UTC), "{}", "receipt")
    assert message.kind == kind
