"""The queue beside a model of it in plain Python: any order of steps leads both to one state."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from annotation import queue
from annotation.bulk_actions import Action, Change, carry_out
from annotation.models import Assignment, Comparison, Judgment, JudgmentVersion
from tests.factories import make_comparisons, make_member, make_project

K, MAXIMUM, PEOPLE, COMPARISONS = 2, 3, 5, 2
ANSWERS = [("1", ""), ("2", ""), ("tie", "1"), ("tie", "2"), ("tie", "tie")]
person = st.integers(0, PEOPLE - 1)
answer = st.sampled_from(ANSWERS)


@dataclass
class Item:
    """What the contract says about one comparison."""

    wanted: int = K
    usual: int = K
    most_ever: int = MAXIMUM
    outcome: str = "waiting"
    states: dict[int, str] = field(default_factory=dict)
    due: set[int] = field(default_factory=set)
    votes: dict[int, tuple[str, str]] = field(default_factory=dict)
    surplus: set[int] = field(default_factory=set)

    @property
    def counted(self):
        return [vote for voter, vote in self.votes.items() if voter not in self.surplus]

    @property
    def open_slots(self):
        held = sum(state == "open" for state in self.states.values())
        return self.wanted - held - len(self.counted)

    def give_back(self, who, state):
        """An open lease ends; a settled comparison wants nobody in its place."""
        self.states[who] = state
        self.due.discard(who)
        if self.outcome != "waiting":
            self.wanted -= 1

    def want(self, count):
        self.wanted = max(count, self.wanted - self.open_slots)

    def retire(self):
        self.wanted -= self.open_slots
        self.outcome = "retired"

    def bring_back(self):
        self.outcome = "waiting"
        self.want(self.usual)
        self.settle()

    def ask_again(self, more):
        self.usual = max(len(self.counted) + more, K)
        self.most_ever = max(self.most_ever, self.most)
        self.outcome = "waiting"
        self.want(self.usual)

    def stop_asking(self):
        self.usual = K
        self.wanted -= self.open_slots
        self.want(K)
        self.settle()

    def vote(self, who, given):
        if self.states[who] != "open" and self.open_slots == 0:
            self.surplus.add(who)
        self.states[who] = "judged"
        self.due.discard(who)
        self.votes[who] = given
        if who not in self.surplus:
            self.settle()

    @property
    def most(self):
        return max(self.usual, MAXIMUM)

    def settle(self):
        if self.outcome == "retired":
            return
        count = len(self.counted)
        winner = majority(self.counted) if count >= self.usual else "nobody yet"
        self.outcome = "waiting"
        if winner == "split" and count >= self.most:
            self.outcome = "disputed"
        elif winner == "split" and count >= self.wanted:
            self.wanted += 1
        elif winner in ("1", "2"):
            self.outcome = "decided"
        elif winner == "equal":
            self.outcome = "undecided"
        if self.outcome != "waiting":
            self.wanted -= self.open_slots


def majority(votes):
    """Honesty first, then helpfulness among those who tied: "1", "2", "equal" or "split"."""
    honesty = leader(first for first, _ in votes)
    if honesty in ("1", "2"):
        return "2" if honesty == "1" else "1"
    helpful = leader(second for first, second in votes if first == "tie")
    if helpful in ("1", "2"):
        return helpful
    return "equal" if honesty == helpful == "tie" else "split"


def leader(choices):
    (first, most), (_, next_most) = [*Counter(choices).most_common(), ("", 0), ("", 0)][:2]
    return first if most > next_most else ""


class QueueMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.project = make_project(k=K, maximum=MAXIMUM)
        self.people = [make_member(self.project) for _ in range(PEOPLE)]
        rows = make_comparisons(self.project, COMPARISONS)
        for place, row in enumerate(rows):
            # So far apart that no change of priority below turns them round.
            Comparison.objects.filter(pk=row.pk).update(shuffle=place, priority=-1000 * place)
        self.keys = [row.pk for row in rows]
        self.items = [Item() for _ in rows]
        self.sent = {}
        self.acts = 0

    def assignment(self, who, which):
        return Assignment.objects.get(
            annotator=self.people[who], comparison_id=self.keys[which % COMPARISONS]
        )

    def told(self, who, which):
        """The item, if this person has ever had it."""
        item = self.items[which % COMPARISONS]
        return item if who in item.states else None

    @rule(who=person)
    def claim(self, who):
        expected = self.expected_claim(who)
        given = queue.claim(self.project, self.people[who])
        assert (given and self.keys.index(given.comparison_id)) == expected
        if expected is not None:
            self.items[expected].states[who] = "open"
            self.items[expected].due.discard(who)

    def expected_claim(self, who):
        for which, item in enumerate(self.items):
            if item.states.get(who) == "open":
                return which
        found = self.first_free(who)
        if found is None:
            self.give_back_model()
            found = self.first_free(who)
        return found

    def first_free(self, who):
        free = [
            which
            for which, item in enumerate(self.items)
            if item.open_slots > 0 and item.states.get(who, "expired") == "expired"
        ]
        return free[0] if free else None

    @rule(who=person, which=st.integers(0, 1))
    def run_out(self, who, which):
        item = self.told(who, which)
        if item and item.states[who] == "open":
            past = timezone.now() - timedelta(seconds=1)
            mine = Assignment.objects.filter(pk=self.assignment(who, which).pk)
            mine.update(expires_at=past)
            item.due.add(who)

    @rule()
    def give_back(self):
        due = sum(len(item.due) for item in self.items)
        assert queue.return_expired_leases(self.project) == due
        self.give_back_model()

    def give_back_model(self):
        for item in self.items:
            for who in list(item.due):
                item.give_back(who, "expired")

    @rule(who=person, which=st.integers(0, 1), given=answer)
    def submit(self, who, which, given):
        item = self.told(who, which)
        if item is None:
            return
        client_uuid = uuid.uuid4()
        send = self.sending(who, which, given, client_uuid)
        if item.states[who] != "judged":
            assert send().created
            item.vote(who, given)
            self.sent[who, which % COMPARISONS] = (given, client_uuid)
            self.acts += 1
        elif item.votes[who] == given:
            assert not send().created
        else:
            with pytest.raises(queue.AlreadyJudged):
                send()

    def sending(self, who, which, given, client_uuid):
        token = self.assignment(who, which).token
        said = queue.Answer(more_hallucinated=given[0], more_helpful=given[1])
        return lambda: queue.submit(self.people[who], token, said, client_uuid=client_uuid)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), given=answer)
    def send_again(self, data, given):
        """The same act once more: what is stored then; with another answer, a refusal."""
        who, which = data.draw(st.sampled_from(sorted(self.sent)))
        before, client_uuid = self.sent[who, which]
        send = self.sending(who, which, given, client_uuid)
        if given == before:
            assert not send().created
        else:
            with pytest.raises(queue.ClientUuidReused):
                send()

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), given=answer, stale=st.booleans())
    def edit(self, data, given, stale):
        who, which = data.draw(st.sampled_from(sorted(self.sent)))
        judgment = Judgment.objects.get(assignment=self.assignment(who, which))
        said = queue.Answer(more_hallucinated=given[0], more_helpful=given[1])
        version = judgment.version - stale
        arguments = {"version": version, "client_uuid": uuid.uuid4()}
        if stale:
            with pytest.raises(queue.VersionMismatch):
                queue.edit(self.people[who], judgment.pk, said, **arguments)
            return
        assert queue.edit(self.people[who], judgment.pk, said, **arguments).version == version + 1
        self.acts += 1
        item = self.items[which]
        item.votes[who] = given
        if who not in item.surplus:
            item.settle()

    @rule(who=person, which=st.integers(0, 1))
    def skip(self, who, which):
        item = self.told(who, which)
        if item is None:
            return
        token = self.assignment(who, which).token
        if item.states[who] == "judged":
            with pytest.raises(queue.AlreadyJudged):
                queue.skip(self.people[who], token, reason="cannot_tell")
            return
        queue.skip(self.people[who], token, reason="cannot_tell")
        if item.states[who] == "open":
            item.give_back(who, "skipped")
        item.states[who] = "skipped"

    @rule(who=person, which=st.integers(0, 1))
    def renew(self, who, which):
        item = self.told(who, which)
        if item is None:
            return
        token = self.assignment(who, which).token
        if item.states[who] == "expired" and item.open_slots == 0:
            with pytest.raises(queue.LeaseLost):
                queue.renew(self.people[who], token)
            return
        queue.renew(self.people[who], token)
        if item.states[who] in ("expired", "open"):
            item.states[who] = "open"
            item.due.discard(who)

    @rule(which=st.integers(0, 1), action=st.sampled_from(Action.values), more=st.integers(1, 2))
    def change(self, which, action, more):
        amount = more if action in ("priority", "hand_out_again") else 0
        change = Change(action=Action(action), amount=amount)
        done = carry_out(self.project, [self.keys[which]], change)
        item = self.items[which]
        settled = item.outcome in ("decided", "undecided", "disputed")
        fits = {
            "priority": item.outcome == "waiting",
            "retire": item.outcome != "retired",
            "bring_back": item.outcome == "retired",
            "hand_out_again": settled,
            "stop_asking": item.outcome == "waiting" and item.usual > K,
        }
        assert (done.changed, sum(done.left.values())) == (fits[action], not fits[action])
        if action == "retire" and fits[action]:
            item.retire()
        elif action == "bring_back" and fits[action]:
            item.bring_back()
        elif action == "hand_out_again" and fits[action]:
            item.ask_again(more)
        elif action == "stop_asking" and fits[action]:
            item.stop_asking()

    @invariant()
    def both_are_in_one_state(self):
        for key, item in zip(self.keys, self.items, strict=True):
            row = Comparison.objects.get(pk=key)
            found = (row.wanted_judgments, row.open_slots, row.judgment_count, row.outcome)
            assert found == (item.wanted, item.open_slots, len(item.counted), item.outcome)
            assert item.open_slots >= 0 and len(item.counted) <= item.most_ever
            states = Assignment.objects.filter(comparison=row).values_list("annotator", "state")
            assert dict(states) == {self.people[w].pk: state for w, state in item.states.items()}
        late = Judgment.objects.filter(surplus=True, comparison__in=self.keys).count()
        assert late == sum(len(item.surplus) for item in self.items)
        written = JudgmentVersion.objects.filter(judgment__comparison__in=self.keys)
        assert written.count() == self.acts


@pytest.mark.django_db
def test_the_queue_does_what_its_model_does():
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=int(os.environ.get("QUEUE_MODEL_EXAMPLES", "25")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
