"""Where the browser of the tests is: CHROMIUM, the PATH, or Playwright's own download.

``python -m tests.browser.chromium`` exits 0 and prints its path when there is one.
"""

import os
import shutil
import sys
from pathlib import Path


def find() -> str | None:
    """The path of a Chromium, or None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


if __name__ == "__main__":
    found = find()
    print(found or "no Chromium was found; install one or set CHROMIUM", file=sys.stderr)
    sys.exit(0 if found else 1)
