"""Warnings about the state of a machine before the measurement."""

from __future__ import annotations

import pytest

from edgebert.profiling.machine_warnings import machine_warnings, mixed_cores
from edgebert.profiling.measurement import Device


def device(cores: int = 4, load_average: float | None = 0.0) -> Device:
    return Device("", "cpu", cores, "aarch64", "Linux", load_average=load_average)


def test_a_quiet_machine_gives_no_warning() -> None:
    environment = {"core_mhz": {"0": 2000.0, "1": 2000.0}, "energy_denied": False}
    assert machine_warnings(device(), environment, threads=4) == []
    assert machine_warnings(device(load_average=None), {}, threads=1) == []


def test_each_warning_has_a_next_step() -> None:
    environment = {"core_mhz": {"0": 1800.0, "1": 2400.0}, "energy_denied": True}
    found = machine_warnings(device(cores=2, load_average=3.0), environment, threads=3)
    for part, warning in zip(
        ("load average 3.0 on 2 cores", "3 threads share 2 cores", "sudo chmod", "--cpu-mask 2"),
        found,
        strict=True,
    ):
        assert part in warning and "Next" in warning


@pytest.mark.parametrize(
    "core_mhz",
    [{}, {"3": 2000.0}, {"0": 2000.0, "1": 2000.0}, {"0": 4900.0, "1": 5100.0}],  # a faster boost
)
def test_cores_of_one_kind(core_mhz: dict[str, float]) -> None:
    assert mixed_cores(core_mhz) is None


def test_the_mask_of_the_fast_cores_is_suggested() -> None:
    core_mhz = {str(core): 1800.0 for core in range(4)} | {"4": 2400.0, "5": 2400.0}
    warning = mixed_cores(core_mhz)
    assert warning is not None
    assert "2 up to 2400 MHz and 4 up to 1800 MHz" in warning
    assert warning.endswith("give --cpu-mask 30 for the fast cores.")
