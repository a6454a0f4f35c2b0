"""What tests of the labelling page share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from annotation.models import Assignment

Eventually = Callable[[Callable[[], Any]], None]
# Resolves when so many comparisons have been fetched ahead.
READY = """(count) => new Promise((resolve) => {
  const had = () => performance.getEntriesByType("resource")
    .filter((one) => one.name.endsWith("/label/next/")).length;
  const look = () => (had() >= count ? resolve() : setTimeout(look, 20));
  look();
})"""
KEPT = """() => new Promise((resolve, reject) => {
  const opening = indexedDB.open("factloop", 1);
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const all = opening.result.transaction("waiting").objectStore("waiting").getAll();
    all.onsuccess = () => (opening.result.close(), resolve(all.result));
  };
})"""


def kept(page: Page) -> list[dict[str, Any]]:
    """The answers that wait in the browser's database."""
    found: list[dict[str, Any]] = page.evaluate(KEPT)
    return found


def on_screen(page: Page) -> Assignment:
    token = page.locator("[data-task]").get_attribute("data-task")
    return Assignment.objects.select_related("comparison").get(token=token)


def press_and_leave(page: Page, *keys: str) -> Assignment:
    """Presses keys that answer the comparison on screen; waits for the next; the one answered."""
    before = on_screen(page)
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator(f'[data-task="{before.token}"]')).to_have_count(0)
    return before
