"""All targets by name."""

from __future__ import annotations

from tests.fuzz import (
    checkpoint_targets,
    data_targets,
    record_targets,
    request_targets,
    tflite_targets,
)

MODULES = (checkpoint_targets, data_targets, record_targets, request_targets, tflite_targets)
TARGETS = {target.name: target for module in MODULES for target in module.TARGETS}
