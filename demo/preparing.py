"""What stands before the loop begins: a project, its annotators, prompts and a benchmark.

All of it is made through the domain functions behind the pages. Nobody can log in as an annotator:
they come in with tokens, over REST.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation import image_sources, importing, projects
from annotation.models import ApiToken, Project, User
from annotation.models.projects import Role
from annotation.onboarding import joining
from benchmark import importing as benchmark_importing
from benchmark.models import Judge, QuestionSet
from benchmark.protocols.small_world import question_record
from demo import world
from demo.crowd import Seen
from demo.questions import DESCRIBE
from demo.scenes import caption
from training.runs.requests import Step


@dataclass(frozen=True)
class Bench:
    """The question sets of the demo and the judge that knows their truth."""

    questions: QuestionSet
    descriptions: QuestionSet
    judge: Judge

    def steps(self) -> list[Step]:
        """Two evaluations: descriptions sampled, and the eight types answered greedily.

        In this order, because the dashboard begins with what was measured last.
        """
        asked = ((self.descriptions, 1.0), (self.questions, 0.0))
        return [
            Step(
                "evaluation",
                options={
                    "question_set": question_set.pk,
                    "judge": self.judge.pk,
                    "temperature": temperature,
                },
            )
            for question_set, temperature in asked
        ]


def make_project(admin: User) -> Project:
    """A project of its own for each time the demo runs, so that nothing is ever overwritten."""
    number = Project.objects.filter(slug__startswith="small-world").count() + 1
    slug = "small-world" if number == 1 else f"small-world-{number}"
    return projects.create(
        Project(
            slug=slug,
            name="Small world" if number == 1 else f"Small world {number}",
            description="Questions about rendered scenes with a known truth.",
            # Two people each, and a third where they disagree: of the 10 % mistakes 3 % are left.
            judgments_per_comparison=2,
            max_judgments=3,
            guidelines=(
                "Compare each answer with the picture.\n\n"
                "- **Hallucinated** is an object, colour, shape, place or number that is not so.\n"
                "- If both are equally honest, prefer the one that answers the question, and of "
                "two descriptions the one that names more of what is there."
            ),
        ),
        manager=admin,
    )


def make_annotators(project: Project, admin: User, people: int) -> list[str]:
    """Members with a token each, usable for a day; nobody can log in as them."""
    tokens = []
    for number in range(1, people + 1):
        user, _ = User.objects.get_or_create(username=f"demo-annotator-{number}")
        user.set_unusable_password()
        user.save()
        joining.add(project, user, Role.ANNOTATOR)
        _, raw = ApiToken.create(
            user, name=f"demo {secrets.token_hex(3)}", scopes=["annotate"], days=1
        )
        tokens.append(raw)
    return tokens


def import_prompts(
    project: Project, count: int, *, seed: int, folder: Path
) -> dict[Seen, world.Prompt]:
    """Imports the questions and their pictures; by what annotators see of them."""
    prompts = world.mixture(count, seed=seed)
    pictures = _pictures(folder / "images", {p.record.image: p.picture() for p in prompts})
    records = folder / "prompts.jsonl"
    _write_lines(records, [prompt.record.to_json() for prompt in prompts])
    importing.import_files(project, [records], image_sources.Folder(pictures), format="prompts")
    by_id = {prompt.record.id: prompt for prompt in prompts}
    return {
        (stored.image.sha256, stored.conversation[-1]["value"]): by_id[stored.external_id]
        for stored in project.prompts.select_related("image")
    }


def make_bench(*, questions_per_type: int, described: int, seed: int, folder: Path) -> Bench:
    """The small world's MMHal-Bench, and many scenes to describe for the oracle."""
    descriptions = [
        question_record(
            question_type="holistic",
            question_id=prompt.record.id,
            scene=prompt.scene,
            question=DESCRIBE,
            answer=caption(prompt.scene),
        )
        for prompt in world.prompts(described, seed=seed, held_out=True)
    ]
    judge, _ = Judge.objects.get_or_create(
        kind=Judge.Kind.EXACT, defaults={"name": "Exact rule of the small world"}
    )
    return Bench(
        questions=_question_set(
            "Small world: eight types",
            world.questions(questions_per_type, seed=seed),
            folder,
            place=1,
        ),
        descriptions=_question_set(
            "Small world: descriptions, sampled", descriptions, folder, place=2
        ),
        judge=judge,
    )


def _question_set(
    name: str, records: list[dict[str, Any]], folder: Path, *, place: int
) -> QuestionSet:
    """``place`` is that on the leaderboard, where the eight types stand first."""
    file = folder / f"{name}.json"
    pictures = {
        record["image_src"].rsplit("/", 1)[-1]: world.picture_of(record) for record in records
    }
    _pictures(folder / name, pictures)
    file.write_text(json.dumps(records), encoding="utf-8")
    made = benchmark_importing.import_questions(
        "small_world", file, images_from=image_sources.Folder(folder / name), name=name
    )
    made.place = place
    made.save(update_fields=["place"])
    return made


def _pictures(folder: Path, pictures: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    return folder


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
