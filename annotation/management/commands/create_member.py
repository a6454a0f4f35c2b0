"""Puts a person into a project, making the person where there is none yet."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from annotation.models import Membership, Project, User
from annotation.models.projects import Role


class Command(BaseCommand):
    help = "Gives USER a role in PROJECT. A new user gets a random password, which is printed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="slug of the project")
        parser.add_argument("user", help="user name")
        parser.add_argument("--role", choices=Role.values, default=Role.ANNOTATOR.value)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(options["user"], password=password)
            self.stdout.write(f"password of {user.username}: {password}")
        Membership.objects.update_or_create(
            project=project, user=user, defaults={"role": options["role"]}
        )
        self.stdout.write(f"{user.username} is {options['role']} of {project.slug}")
