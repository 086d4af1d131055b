"""Devices and measurements are named by their differences, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

from edgebert.profiling.measurement import Device, Measurement
from edgebert.reporting.configurations import (
    common_configuration,
    device_labels,
    latest,
    measurement_names,
)
from edgebert.reporting.report import latency_ratio
from tests.edgebert.reporting.examples import BROWSER, PHONE, measured


def labels(*measurements: Measurement) -> list[str]:
    return list(device_labels(measurements).values())


def test_a_single_device_has_only_its_name() -> None:
    assert labels(measured("a", 1.0), measured("b", 2.0)) == ["a processor"]


def test_several_devices_have_the_kind_of_target() -> None:
    phone = measured("a", 1.0, target="adb:29051", device=PHONE)
    page = measured("a", 1.0, target="browser", device=PHONE)
    assert labels(measured("a", 1.0), phone, page) == [
        "a processor (cpu)",
        "Google Pixel 7 (adb)",
        "Google Pixel 7 (browser)",
    ]


def test_similar_devices_are_named_by_their_differences() -> None:
    old = measured("a", 1.0, runtime="LiteRT 2.2", device=BROWSER)
    new = replace(old, runtime="LiteRT 2.3")
    larger = replace(new, device=replace(BROWSER, cores=8))
    assert labels(old, new, larger) == [
        "iPhone 15 (cpu, LiteRT 2.2)",
        "iPhone 15 (cpu, LiteRT 2.3, 6 cores)",
        "iPhone 15 (cpu, LiteRT 2.3, 8 cores)",
    ]


def test_equal_phones_are_named_by_address() -> None:
    one = measured("a", 1.0, target="adb:one", device=PHONE)
    assert labels(one, replace(one, target="adb:two")) == [
        "Google Pixel 7 (adb, adb:one)",
        "Google Pixel 7 (adb, adb:two)",
    ]


def test_cpu_and_gpu_of_a_phone_are_two_devices() -> None:
    one, other = (
        measured("a", 1.0, target="adb:x", device=replace(PHONE, details={"delegate": delegate}))
        for delegate in ("cpu", "gpu")
    )
    assert labels(one, other) == [
        "Google Pixel 7 (adb, delegate cpu)",
        "Google Pixel 7 (adb, delegate gpu)",
    ]


def test_devices_with_equal_names_are_numbered() -> None:
    named = measured("a", 1.0, device=Device("X", "", 1, "", ""))
    silent = measured("a", 1.0, device=Device("", "X", 1, "", ""))
    assert len(set(labels(named, silent))) == 2


def test_load_and_temperature_do_not_identify_a_device() -> None:
    calm = measured("a", 1.0)
    details = {"thermal state": "severe"}
    busy = replace(calm, device=replace(calm.device, load_average=9.0, details=details))
    assert len(labels(calm, busy)) == 1


def test_repeated_configurations_are_named_by_time() -> None:
    first = measured("a", 1.0)
    later = replace(first, session="two", measured="2026-05-06T07:08:09Z")
    assert measurement_names([first, later, measured("b", 1.0)]) == [
        "a, 2026-01-02 03:04 UTC",
        "a, 2026-05-06 07:08 UTC",
        "b",
    ]
    within_a_minute = replace(first, session="abcdefgh")
    assert measurement_names([first, within_a_minute]) == [
        "a, 2026-01-02 03:04 UTC, session one",
        "a, 2026-01-02 03:04 UTC, session abcdef",
    ]
    assert measurement_names([replace(m, measured="") for m in (first, within_a_minute)]) == [
        "a, session one",
        "a, session abcdef",
    ]


def test_the_latest_measurement_is_chosen_by_time_not_by_order() -> None:
    old = measured("a", 1.0)
    new = replace(old, session="two", measured="2027-01-01T00:00:00Z")
    assert latest([new, old]) == [new]
    undated = [replace(old, measured=""), replace(new, measured="")]
    assert latest(undated) == undated[1:]


def test_the_common_configuration_has_the_most_models() -> None:
    lonely = [measured("a", 1.0, None), measured("a", 1.0, 64)]
    shared = [measured("a", 1.0, 32), measured("b", 1.0, 32)]
    place = common_configuration([*lonely, *shared])
    assert place is not None and place.length == 32
    place = common_configuration([*lonely, *shared, measured("b", 1.0, None)])
    assert place is not None and place.kind == "end_to_end"
    assert common_configuration([]) is None


def test_ratios_never_cross_devices() -> None:
    here, there = measured("a", 2.0), measured("b", 1.0, device=PHONE)
    assert latency_ratio(there, [here, there]) is None
    base_there = measured("a", 4.0, device=PHONE)
    assert latency_ratio(there, [here, there, base_there]) == 0.25


def test_a_ratio_refers_to_the_measurement_of_the_same_session() -> None:
    first, second = measured("a", 2.0), measured("a", 8.0, session="two")
    other = measured("b", 4.0, session="two")
    assert latency_ratio(other, [first, second, other]) == 0.5
