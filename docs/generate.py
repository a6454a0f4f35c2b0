"""Pages of the documents that are made from the code when the site is built (a hook of mkdocs).

Nothing of them is kept in the repository, so none can say what the code no longer does.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)+(?!decisions|reference|guides)[\w./-]+\.(?:py|toml|yml)\)"
)


def on_files(files: Files, config: Any) -> Files:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    for path, made in PAGES.items():
        files.append(File.generated(config, path, content=made()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to what lies outside the documents lead to nothing here: they become names."""
    return OUTSIDE.sub(r"`\1`", markdown)


# --- Pages that are files elsewhere -----------------------------------------------------------


ELSEWHERE = {
    "](docs/": "](",
    "](decisions/)": "](decisions/index.md)",
    "](CONTRIBUTING.md)": "](contributing.md)",
    "](annotation/onboarding/annotator-guide.md)": "](guides/annotator.md)",
}
"""Where links of files at the top of the repository lead to in the site."""


def at_the_top(name: str) -> str:
    text = (ROOT / name).read_text()
    for there, here in ELSEWHERE.items():
        text = text.replace(there, here)
    return text


def index() -> str:
    return at_the_top("README.md")


def contributing() -> str:
    return at_the_top("CONTRIBUTING.md")


def changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text()


def annotator() -> str:
    return (ROOT / "annotation" / "onboarding" / "annotator-guide.md").read_text()


def decisions() -> str:
    lines = ["# Decisions", "", "What was chosen, why, and what was given up.", ""]
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        title = path.read_text().splitlines()[0].removeprefix("# ")
        lines.append(f"- [{title}]({path.name})")
    return "\n".join(lines)


# --- Reference ------------------------------------------------------------------------------


def command() -> str:
    from config.command import USAGE

    text = USAGE.format(var="var/ of a checkout, else ~/.local/share/factloop")
    return f"# The command\n\n```text\n{text}```\n"


def settings() -> str:
    """Every variable that ``config/settings/`` reads, under the headings that stand there."""
    lines = ["# Settings", "", "All of them are variables of the environment.", ""]
    for heading, found in _settings():
        lines += [f"## {heading}", "", "| variable | meaning | default |", "|---|---|---|"]
        lines += [
            f"| `{one.name}` | {_cell(one.meaning)} | {_cell(one.default)} |" for one in found
        ]
        lines.append("")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str
    meaning: str
    default: str


def _settings() -> Iterator[tuple[str, list[Setting]]]:
    folder = ROOT / "config" / "settings"
    order = re.findall(
        r"^from config\.settings\.(\w+) ", (folder / "__init__.py").read_text(), re.M
    )
    text = "\n".join((folder / f"{name}.py").read_text() for name in order)
    lines = text.splitlines()
    by_heading: dict[str, list[Setting]] = {}
    seen: set[str] = set()
    calls = [node for node in ast.walk(ast.parse(text)) if _reads_environment(node)]
    for call in sorted(calls, key=lambda node: node.lineno):
        name = ast.literal_eval(call.args[0])
        if name in seen:
            continue
        seen.add(name)
        by_heading.setdefault(_heading(lines, call.lineno), []).append(
            Setting(name, _comment(lines, call.lineno), _default(call))
        )
    yield from by_heading.items()


def _reads_environment(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    called = ast.unparse(node.func)
    return called in ("env", "env.str", "env.bool", "env.int", "env.float", "env.list") and (
        isinstance(node.args[0], ast.Constant)
    )


def _heading(lines: list[str], number: int) -> str:
    above = [line for line in lines[:number] if line.startswith("# --- ")]
    return above[-1].strip("# -") if above else "First of all"


def _comment(lines: list[str], number: int) -> str:
    """The comment above the statement that holds line ``number`` (from 1)."""
    at = number - 2
    while at >= 0 and not lines[at].lstrip().startswith("#"):
        if lines[at] == "" or re.match(r"[A-Z_]+ = .*[^(\[{]$", lines[at]):
            return ""
        at -= 1
    said: list[str] = []
    while at >= 0 and lines[at].lstrip().startswith("#") and "# ---" not in lines[at]:
        said.insert(0, lines[at].strip().lstrip("# "))
        at -= 1
    return " ".join(said)


def _default(call: ast.Call) -> str:
    for keyword in call.keywords:
        if keyword.arg == "default":
            return f"`{ast.unparse(keyword.value)}`"
    return "none"


def engine() -> str:
    from training.rlhf import manual

    return manual.markdown()


def events() -> str:
    from training.rlhf.contract import events as told

    lines = [
        "# Events",
        "",
        "What a running engine says in `events.jsonl`, one JSON object a line.",
        "",
    ]
    lines += ["`event` names the kind; every line has a `time` in seconds since the epoch.", ""]
    for name, kind in told.EVENTS.items():
        lines += [f"## `{name}`", "", (kind.__doc__ or "").replace("``", "`"), ""]
        lines += ["| field | type | default |", "|---|---|---|"]
        for field in dataclasses.fields(kind):
            if field.name != "time":
                lines.append(
                    f"| `{field.name}` | `{_cell(str(field.type))}` | {_field_default(field)} |"
                )
        lines.append("")
    return "\n".join(lines)


def _field_default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "required" if field.default_factory is dataclasses.MISSING else "`{}`"


def formats() -> str:
    from annotation import exporting
    from annotation.exporting import streams
    from annotation.models import ImportJob

    lines = [
        "# Formats",
        "",
        "Fields and examples stand in [the labelling protocol](../labelling-protocol.md).",
        "",
    ]
    lines += ["## Taken in", "", "| format | what it is |", "|---|---|"]
    lines += [f"| `{one.value}` | {_cell(str(one.label))} |" for one in ImportJob.Format]
    lines += ["", "## Given out", "", "| format | what it is |", "|---|---|"]
    for name, of in exporting.FORMATS.items():
        lines.append(f"| `{name}` | {_cell(_first(of.__doc__))} |")
    lines.append(
        f"| `{streams.DATASETS}` | A folder with images that `datasets.load_dataset` opens. |"
    )
    return "\n".join([*lines, ""])


def benchmarks() -> str:
    from benchmark.protocols import TABLE

    lines = [
        "# Benchmarks",
        "",
        "What each measures and how is told in [benchmarks](../benchmarks.md).",
        "",
    ]
    lines += [
        "| name | title | question files | verdicts of an answer | pictures for the judge |",
        "|---|---|---|---|---|",
    ]
    for name, one in TABLE.items():
        files = ", ".join(f"`{pattern}`" for pattern in one.files)
        pictures = "yes" if one.shows_pictures else "no"
        verdicts = ", ".join(one.orders)
        lines.append(f"| `{name}` | {_cell(one.title)} | {files} | {verdicts} | {pictures} |")
    return "\n".join([*lines, ""])


def rest() -> str:
    """Every operation of the OpenAPI document; its fields are at /api/docs/ of an installation."""
    from drf_spectacular.generators import SchemaGenerator

    document = SchemaGenerator().get_schema(request=None, public=True)
    by_tag: dict[str, list[str]] = {}
    for path, operations in sorted(document["paths"].items()):
        for method, one in operations.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            short = path.removeprefix("/api/v1/")
            text = _first(one.get("description") or one.get("summary"))
            answers = ", ".join(sorted(one["responses"]))
            row = f"| {method.upper()} | `{short}` | {_cell(text)} | {answers} |"
            by_tag.setdefault(short.split("/")[0], []).append(row)
    lines = [
        "# REST, every operation",
        "",
        "Addresses begin with `/api/v1/`. Every field is at `/api/docs/` of an installation.",
        "",
    ]
    for tag, rows in by_tag.items():
        lines += [
            f"## {tag}",
            "",
            "| | address | what it does | answers |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    return "\n".join(lines)


def _first(text: str | None) -> str:
    """The first paragraph, as one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split()).replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


PAGES = {
    "index.md": index,
    "changelog.md": changelog,
    "contributing.md": contributing,
    "guides/annotator.md": annotator,
    "decisions/index.md": decisions,
    "reference/command.md": command,
    "reference/settings.md": settings,
    "reference/rest.md": rest,
    "reference/engine.md": engine,
    "reference/events.md": events,
    "reference/formats.md": formats,
    "reference/benchmarks.md": benchmarks,
}


def settings_without_meaning() -> Iterable[str]:
    """Variables above whose line no comment stands."""
    return [one.name for _, found in _settings() for one in found if not one.meaning]
