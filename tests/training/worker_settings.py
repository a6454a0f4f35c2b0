"""Settings of a worker that a test starts: the test's database, its storage, the fake kinds."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.training.fake_app"]
DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
MEDIA_ROOT = os.environ["TEST_STORAGE"]
REPORT_CARDS = os.environ.get("TEST_REPORT_CARDS") == "1"
