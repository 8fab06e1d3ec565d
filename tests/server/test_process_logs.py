"""What the process says of itself: JSON lines that tell which request they are of."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from accredit.telemetry import begin_request, configure_logs


@pytest.fixture(autouse=True)
def configured_for_this_test_alone() -> Iterator[None]:
    """What is configured here writes to this test's standard error, which nobody else may write to."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_lines_of_one_request_carry_one_id_and_other_requests_another(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(readable=False)
    log = structlog.get_logger("test")

    log.info("outside")
    begin_request()
    log.info("first", reason="a")
    log.warning("second")
    begin_request()
    log.info("third")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ids = [line.get("request_id") for line in lines]
    assert [line["event"] for line in lines] == ["outside", "first", "second", "third"]
    assert ids[0] is None
    assert ids[1] == ids[2] != ids[3]
    assert all({"time", "level", "event"} <= line.keys() for line in lines)
    assert all(line["time"].endswith("Z") for line in lines)
