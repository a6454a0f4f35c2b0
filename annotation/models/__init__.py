"""The tables of annotation. The rules that span several of them live beside, in queue,
preferences, importing and exporting; here is what one row may hold, and the database enforces it.
"""

from annotation.models.crowd import Participant, Study
from annotation.models.exchange import IdempotentAnswer, ImportJob, Release
from annotation.models.figures import Figures, WorkDay
from annotation.models.items import Comparison, Image, ImageUpload, Prompt
from annotation.models.machine import MachineLabel, MachineLabelling
from annotation.models.notices import (
    Condition,
    Delivery,
    Notice,
    NoticeChoice,
    Webhook,
)
from annotation.models.onboarding import (
    QuizAnswer,
    QuizAttempt,
    QuizGrant,
    QuizQuestion,
    SupersededGuidelines,
    WorkedExample,
)
from annotation.models.people import ApiToken, RecoveryCode, User
from annotation.models.projects import Invitation, Membership, Project
from annotation.models.work import Adjudication, Assignment, Judgment, JudgmentVersion

__all__ = [
    "Adjudication",
    "ApiToken",
    "Assignment",
    "Comparison",
    "Condition",
    "Delivery",
    "Figures",
    "IdempotentAnswer",
    "Image",
    "ImageUpload",
    "ImportJob",
    "Invitation",
    "Judgment",
    "JudgmentVersion",
    "MachineLabel",
    "MachineLabelling",
    "Membership",
    "Notice",
    "NoticeChoice",
    "Participant",
    "Project",
    "Prompt",
    "QuizAnswer",
    "QuizAttempt",
    "QuizGrant",
    "QuizQuestion",
    "RecoveryCode",
    "Release",
    "Study",
    "SupersededGuidelines",
    "User",
    "Webhook",
    "WorkDay",
    "WorkedExample",
]
