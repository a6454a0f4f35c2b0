"""Settings of the whole installation: a file for each subject, everything from the environment.

Two ways to run: with DATABASE_URL (a real installation, which must also name its SECRET_KEY and
ALLOWED_HOSTS) or without (a private Postgres and Valkey under ``var/`` on this machine only).
Each variable is told in the comment above its line, from which the documents' page of settings is
made (docs/generate.py), in the order of the lines below.
"""

# ruff: isort: skip_file
from config.settings.environment import *
from config.settings.site import *
from config.settings.applications import *
from config.settings.services import *
from config.settings.schedule import *
from config.settings.people import *
from config.settings.rest import *
from config.settings.security import *
from config.settings.files import *
from config.settings.training import *
from config.settings.benchmarks import *
from config.settings.retention import *
from config.settings.languages import *
from config.settings.logs import *
