"""What a checker of pages, such as Lighthouse, looks at: names of controls, contrast, shifts."""

from __future__ import annotations

from tests.judges.chromium import Page

SMALLEST_CONTRAST = 4.5
"""Of text to what is behind it (WCAG 2.2, 1.4.3)."""
SHIFTS = """
globalThis.shifts = [];
new PerformanceObserver((list) => shifts.push(...list.getEntries().map((entry) => entry.value)))
  .observe({ type: "layout-shift", buffered: true });
"""
"""To run before a page: fills `shifts` with the layout shifts that no one's input caused."""
_CONTROLS = {"textbox", "combobox", "progressbar", "DisclosureTriangle", "button"}


def names_of_controls(page: Page) -> list[str]:
    """The accessible name of each control of a page; empty where it has none."""
    tree = page.send_command("Accessibility.getFullAXTree")["nodes"]
    return [
        node.get("name", {}).get("value", "")
        for node in tree
        if not node.get("ignored") and node["role"]["value"] in _CONTROLS
    ]


def least_contrast(page: Page) -> float:
    """The least contrast of an element that has text of its own and is shown."""
    return float(page.evaluate(_CONTRAST))


_CONTRAST = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  let least = Infinity;
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility()) continue;
    const [one, other] = [light(getComputedStyle(node).color), light(behind(node))];
    const [low, high] = one < other ? [one, other] : [other, one];
    least = Math.min(least, (high + 0.05) / (low + 0.05));
  }
  return least;
})()
"""
