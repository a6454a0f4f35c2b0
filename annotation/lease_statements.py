"""The SQL of leases (annotation.leases); what is said about locks there holds for these."""

from __future__ import annotations

from annotation.models import Adjudication, Assignment, Comparison, Image, Project, Prompt
from annotation.prepared_statements import Columns, Statement

ASSIGNMENT = Columns(Assignment, "assignment")
COMPARISON = Columns(Comparison, "comparison")
PROMPT = Columns(Prompt, "prompt")
IMAGE = Columns(Image, "image")
PROJECT = Columns(Project, "project")
ADJUDICATION = Columns(Adjudication, "adjudication")

# The membership itself is locked, so a pause that was under way is seen when it has ended.
LOCK_MEMBER = Statement("""
SELECT project.state, membership.paused, project.quiz_pass_mark
FROM annotation_membership AS membership
JOIN annotation_project AS project ON project.id = membership.project_id
WHERE membership.project_id = %(project)s AND membership.user_id = %(annotator)s
FOR NO KEY UPDATE OF membership
""")

# The update finds nothing if the lease ran out and was given back a moment ago.
HOLD_AGAIN = Statement("""
UPDATE annotation_assignment SET expires_at = statement_timestamp() + %(lease)s::interval
WHERE state = 'open' AND id = (
    SELECT assignment.id FROM annotation_assignment AS assignment
    WHERE assignment.project_id = %(project)s AND assignment.annotator_id = %(annotator)s
      AND assignment.state = 'open' AND assignment.token <> ALL (%(ahead_of)s::uuid[])
    ORDER BY assignment.leased_at, assignment.id
    LIMIT 1
)
RETURNING id
""")

# A row that changed after the statement began is looked at again in its newest version before it
# is locked, so a slot that somebody else has just taken is never taken twice.
# What the person had is asked per candidate, as a subquery that cannot become a join: by the
# unique index, a few microseconds each, however stale the statistics are. It is a truth value,
# which the planner takes for true in half of the rows; an equation it would take for true in one
# row of 200, and rather sort all that is left of a small project than walk the index.
_CANDIDATE = """
    SELECT comparison.id
    FROM annotation_comparison AS comparison
    WHERE comparison.project_id = %(project)s
      AND comparison.open_slots > 0
      AND coalesce((
          SELECT had.state = 'expired' FROM annotation_assignment AS had
          WHERE had.comparison_id = comparison.id AND had.annotator_id = %(annotator)s
            AND NOT (had.purpose = 'repeat')
      ), true)
    ORDER BY comparison.priority DESC, comparison.shuffle
    LIMIT 1"""
_CLAIM = """
WITH candidate AS ({candidate}
    FOR NO KEY UPDATE OF comparison {skip_locked}
), taken AS (
    UPDATE annotation_comparison AS comparison
    SET open_slots = comparison.open_slots - 1
    FROM candidate
    WHERE comparison.id = candidate.id
    RETURNING comparison.id
)
INSERT INTO annotation_assignment AS assignment (
    project_id, comparison_id, annotator_id, token, state, purpose, shown_first, skip_reason,
    skip_note, leased_at, expires_at
)
SELECT %(project)s, taken.id, %(annotator)s, %(token)s, 'open', 'work', %(shown_first)s, '', '',
       statement_timestamp(), statement_timestamp() + %(lease)s::interval
FROM taken
ON CONFLICT (comparison_id, annotator_id) WHERE NOT (purpose = 'repeat') DO UPDATE
SET state = 'open', leased_at = excluded.leased_at, expires_at = excluded.expires_at,
    ended_at = NULL
RETURNING assignment.id, assignment.xmax = 0 AS is_new
"""
CLAIM = Statement(_CLAIM.format(candidate=_CANDIDATE, skip_locked="SKIP LOCKED"))
CLAIM_WAITING = Statement(_CLAIM.format(candidate=_CANDIDATE, skip_locked=""))

LOAD = Statement(f"""
SELECT {ASSIGNMENT}, {COMPARISON}, {PROMPT}, {IMAGE}
FROM annotation_assignment AS assignment
JOIN annotation_comparison AS comparison
  ON comparison.id = coalesce(assignment.shows_id, assignment.comparison_id)
JOIN annotation_prompt AS prompt ON prompt.id = comparison.prompt_id
JOIN annotation_image AS image ON image.id = prompt.image_id
WHERE assignment.id = %(assignment)s
""")

LOCK_COMPARISON = Statement(f"""
SELECT {COMPARISON}, {PROJECT}, {ADJUDICATION}
FROM annotation_comparison AS comparison
JOIN annotation_project AS project ON project.id = comparison.project_id
LEFT JOIN annotation_adjudication AS adjudication ON adjudication.comparison_id = comparison.id
WHERE comparison.id = (
    SELECT assignment.comparison_id FROM annotation_assignment AS assignment
    WHERE assignment.token = %(token)s AND assignment.annotator_id = %(annotator)s
)
FOR NO KEY UPDATE OF comparison
""")

LOCK_ASSIGNMENT = Statement(f"""
SELECT {ASSIGNMENT}, statement_timestamp()
FROM annotation_assignment AS assignment
WHERE assignment.token = %(token)s AND assignment.annotator_id = %(annotator)s
FOR NO KEY UPDATE OF assignment
""")

# Comparisons are locked first and busy ones left for next time. A slot of a comparison that has
# been decided meanwhile is not wanted any more.
GIVE_BACK = """
WITH due AS (
    SELECT comparison.id
    FROM annotation_comparison AS comparison
    WHERE comparison.id IN (
        SELECT assignment.comparison_id FROM annotation_assignment AS assignment
        WHERE assignment.state = 'open' AND {condition}
        LIMIT %(limit)s
    )
    ORDER BY comparison.id
    FOR NO KEY UPDATE OF comparison {skip_locked}
), ended AS (
    UPDATE annotation_assignment AS assignment
    SET state = 'expired', ended_at = statement_timestamp()
    FROM due
    WHERE assignment.comparison_id = due.id AND assignment.state = 'open' AND {condition}
    RETURNING assignment.comparison_id, assignment.purpose
), returned AS (
    SELECT comparison_id, count(*) FILTER (WHERE purpose = 'work') AS slots, count(*) AS leases
    FROM ended GROUP BY comparison_id
), given_back AS (
    UPDATE annotation_comparison AS comparison
    SET open_slots = comparison.open_slots
            + CASE WHEN comparison.outcome = 'waiting' THEN returned.slots ELSE 0 END,
        wanted_judgments = comparison.wanted_judgments
            - CASE WHEN comparison.outcome = 'waiting' THEN 0 ELSE returned.slots END
    FROM returned
    WHERE comparison.id = returned.comparison_id
)
SELECT coalesce(sum(leases), 0) FROM returned
"""
