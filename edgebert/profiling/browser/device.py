"""Names of a browser and its machine: from user agents and client hints to a `Device`.

Browsers hide a part of this on purpose. Unknown values stay empty; nothing is guessed.
"""

from __future__ import annotations

import re

from edgebert.profiling.browser.answers import Facts
from edgebert.profiling.measurement import Device

# The first match counts: most browsers also name the browsers that they are compatible with.
_BROWSERS = (
    ("Edge", r"Edg(?:A|iOS)?/([\d.]+)"),
    ("Opera", r"OPR/([\d.]+)"),
    ("Samsung Internet", r"SamsungBrowser/([\d.]+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/([\d.]+)"),
    ("Chrome", r"(?:HeadlessChrome|Chrome|CriOS)/([\d.]+)"),
    ("Safari", r"Version/([\d.]+).*Safari/"),
)
_SYSTEMS = (
    ("iOS", r"(?:iPhone|iPod|iPad).*? OS ([\d_]+)"),
    ("Android", r"Android ([\d.]+)"),
    ("Windows", r"Windows NT ([\d.]+)"),
    ("ChromeOS", r"CrOS \S+ ([\d.]+)"),
    ("macOS", r"Mac OS X ([\d_.]+)"),
    ("Linux", r"Linux()"),
)
_ANDROID_MODEL = re.compile(
    r"Android [\d.]+; (?:[a-z]{2}-[a-z]{2}; )?([^;)]+?)(?: Build/[^;)]*)?[;)]"
)
_ARCHITECTURES = {("x86", "64"): "x86_64", ("arm", "64"): "aarch64"}
"""The name in `uname -m` of the architecture and bitness in client hints."""

_REDUCED_MODEL = "K"
"""Chrome's user agent has this model for every Android phone. Client hints, which need a secure
context, contain the real one."""


def browser_name(facts: Facts) -> str:
    """Name and version, such as "Chrome 126"."""
    if facts.browser:
        return facts.browser
    for name, pattern in _BROWSERS:
        if found := re.search(pattern, facts.user_agent):
            return f"{name} {found[1].partition('.')[0]}"
    return "unknown browser"


def system_name(facts: Facts) -> str:
    """Name and version, such as "Android 14"; without the version if the browser hides it."""
    if facts.platform:
        return f"{facts.platform} {facts.platform_version}".strip()
    for name, pattern in _SYSTEMS:
        if found := re.search(pattern, facts.user_agent):
            return f"{name} {found[1].replace('_', '.')}".strip()
    return "unknown system"


def device_name(facts: Facts) -> str:
    """The model of the phone if it is known, otherwise the operating system."""
    if facts.model:
        return facts.model
    for kind in ("iPhone", "iPad"):
        if kind in facts.user_agent:
            return kind
    found = _ANDROID_MODEL.search(facts.user_agent)
    if found and found[1] not in (_REDUCED_MODEL, "Mobile", "Tablet"):
        return found[1].strip()
    return system_name(facts)


def make_device(facts: Facts, name: str, wasm_build: str) -> Device:
    """The `Device` of a page.

    Args:
        facts: Facts that the page sent when it joined.
        name: Result of `device_name`, made unique.
        wasm_build: The build of LiteRT.js that the page used.
    """
    spelled = (facts.architecture, facts.bitness)
    details = {
        "browser": browser_name(facts),
        "user_agent": facts.user_agent,
        "wasm_build": wasm_build,
        "cross_origin_isolated": _yes(facts.isolated),
        "relaxed_simd": _yes(facts.relaxed_simd),
        "clock_ms": f"{facts.clock_ms:g}",
    }
    if facts.memory_gb is not None:
        details["memory_gb"] = f"{facts.memory_gb:g}"
    if facts.webgpu:
        details["webgpu"] = facts.webgpu
    if facts.battery is not None:
        charging = ", charging" if facts.charging else ""
        details["battery"] = f"{facts.battery:.0%}{charging}"
    return Device(
        name=name,
        cpu="",
        cores=facts.cores,
        architecture=_ARCHITECTURES.get(spelled, facts.architecture),
        os=f"{browser_name(facts)} on {system_name(facts)}",
        details=details,
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
