"""Finding comparisons by words of their question, their answers or their id.

Words are found by their beginnings; a script that puts no spaces between them, by the beginning of
a run of letters.
"""

from __future__ import annotations

from django.contrib.postgres.search import SearchQuery
from django.db.models import Q, QuerySet

from annotation.models import Assignment, Comparison, Project, Prompt, User
from annotation.models.searched import CONFIG, CONVERSATION, RESPONSES

MOST_WORDS = 12
"""Of a search: each costs three look-ups."""


def found(
    project: Project,
    *,
    outcome: str = "",
    model: str = "",
    source: str = "",
    search: str | None = None,
    person: User | None = None,
) -> QuerySet[Comparison]:
    """The project's comparisons with all that is asked for, in no order.

    ``model`` made one response or both, ``source`` is the import or the run that brought it,
    ``search`` is as in ``matching``, and ``person`` has answered it.
    """
    rows = Comparison.objects.filter(project=project)
    if outcome:
        rows = rows.filter(outcome=outcome)
    if model:
        rows = rows.filter(Q(model_1=model) | Q(model_2=model))
    if source:
        rows = rows.filter(source=source)
    if person is not None:
        done = judged_in(project).filter(annotator=person)
        rows = rows.filter(pk__in=done.values("comparison"))
    return rows if search is None else matching(rows, project, search)


def judged_in(project: Project) -> QuerySet[Assignment]:
    """Of the project, whatever was answered, by whomever."""
    return Assignment.objects.filter(project=project, state=Assignment.State.JUDGED)


def words_of(text: str) -> list[str]:
    """The pieces of a search that have a letter or a digit, MOST_WORDS at most."""
    pieces = [piece for piece in text.split() if any(letter.isalnum() for letter in piece)]
    return pieces[:MOST_WORDS]


def matching(rows: QuerySet[Comparison], project: Project, text: str) -> QuerySet[Comparison]:
    """Those of ``rows`` that have every word of ``text`` in the question, an answer or the id.

    One word may stand in the question and the next in an answer. Of an id any part is found. Text
    without a letter or digit finds nothing.
    """
    words = words_of(text)
    if not words:
        return rows.none()
    mine = Comparison.objects.filter(project=project)
    for word in words:
        quoted = word.replace("\\", " ").replace("'", "''")
        query = SearchQuery(f"'{quoted}':*", config=CONFIG, search_type="raw")
        answered = mine.annotate(found=RESPONSES).filter(found=query)
        prompts = Prompt.objects.filter(project=project).annotate(found=CONVERSATION)
        asked = mine.filter(prompt__in=prompts.filter(found=query).values("pk"))
        named = mine.filter(external_id__icontains=word)
        having = [found.order_by().values("pk") for found in (answered, asked, named)]
        rows = rows.filter(pk__in=having[0].union(*having[1:]))
    return rows
