"""docs/monitoring/grafana.json shows every figure that there is, and none that there is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

from django.conf import settings

from training.figures import prometheus

FOLDER = Path(settings.BASE_DIR) / "docs" / "monitoring"
LABEL = re.compile(r"\{\{(\w+)\}\}")


def test_every_figure_has_a_panel_and_every_panel_a_figure() -> None:
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"factloop_\w+", target["expr"])
    }
    source = Path(prometheus.__file__).read_text()
    assert asked == set(re.findall(r'"(factloop_\w+)"', source))


def test_panels_name_labels_that_figures_carry() -> None:
    source = Path(prometheus.__file__).read_text()
    carried = set(re.findall(r"(\w+)=\"\{", source)) | set(re.findall(r"'(\w+)=\"", source))
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert set(LABEL.findall(target["legendFormat"])) <= carried, panel["title"]


def test_panels_lie_side_by_side() -> None:
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert len({p["id"] for p in dashboard["panels"]}) == len(places)
