"""Two kills and full disks of the cheapest stage. `make torture` kills every stage 50 times."""

from __future__ import annotations

import os

import pytest

from tests.torture.running import Torturer
from tests.torture.stages import STAGES


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_an_index_survives_kills_full_disks_and_missing_permissions() -> None:
    torturer = Torturer(STAGES["index"], seed=1)
    try:
        torturer.kill(3)
        torturer.fill_disk(2)
        torturer.limit_file_size(2)
        torturer.forbid_writing()
    finally:
        torturer.close()
    found = torturer.found
    assert not found.problems, found.problems[0]
    assert found.kills == 3 and found.full >= 2
