"""Makes a judge known. Keys stay in the environment of the workers and are never stored."""

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from benchmark.models import Judge
from config.sanitising import NotJson, parse_json


class Command(BaseCommand):
    help = "Create a judge: a chat endpoint in OpenAI's form, a person, or the exact rule."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument(
            "--exact",
            action="store_true",
            help="The rules of benchmarks that need nobody to judge.",
        )
        kind.add_argument("--person", action="store_true", help="People rate in the browser.")
        parser.add_argument("--base-url", default="", help="Up to and without /chat/completions.")
        parser.add_argument("--model", default="")
        parser.add_argument("--parser", choices=Judge.Parser.values, default=Judge.Parser.CAREFUL)
        parser.add_argument(
            "--key-variable", default="JUDGE_API_KEY", help="Environment variable of the workers."
        )
        parser.add_argument("--options", default="{}", help="JSON merged into each request.")
        parser.add_argument("--concurrency", type=int, default=4)
        parser.add_argument(
            "--price", type=Decimal, help="Per million tokens, in the currency of its bill."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        judge = Judge(
            name=options["name"],
            kind=_kind(options),
            parser=options["parser"],
            base_url=options["base_url"],
            model=options["model"],
            key_variable=options["key_variable"],
            options=_object(options["options"]),
            concurrency=options["concurrency"],
            price_per_million_tokens=options["price"],
        )
        try:
            judge.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        judge.save(force_insert=True)
        self.stdout.write(f"judge {judge.name}")


def _kind(options: dict[str, Any]) -> str:
    if options["exact"]:
        return Judge.Kind.EXACT
    return Judge.Kind.PERSON if options["person"] else Judge.Kind.OPENAI


def _object(text: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except NotJson as error:
        raise CommandError(f"--options {error}") from None
    if not isinstance(value, dict):
        raise CommandError("--options is not a JSON object")
    return value
