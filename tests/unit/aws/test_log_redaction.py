"""botocore's bodies are dropped from this library's calls, and from no other's."""

import logging

from embedstack.aws.log_redaction import confidential


def test_confidential_drops_debug_records_of_its_block_only(caplog):
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("botocore.endpoint")
    logger.debug("before")
    with confidential():
        logger.debug("a body")
        logger.warning("a warning")
    logger.debug("after")
    assert [record.message for record in caplog.records] == ["before", "a warning", "after"]
