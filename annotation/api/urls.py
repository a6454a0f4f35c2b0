"""REST of annotation, under /api/v1/."""

from django.urls import path

from annotation.api import (
    comparison_changes,
    comparisons,
    guidelines,
    images,
    imports,
    labelling,
    people,
    projects,
    quality,
    quiz,
    releases,
    review,
)
from annotation.crowd import api as crowd
from annotation.machine import api as machine
from annotation.notices import api as notices

app_name = "annotation-api"
urlpatterns = [
    path("projects", projects.Projects.as_view(), name="projects"),
    path("projects/<slug:slug>", projects.ProjectDetail.as_view(), name="project"),
    path("projects/<slug:slug>/progress", projects.Progress.as_view(), name="progress"),
    path("projects/<slug:slug>/assignments/next", labelling.NextAssignment.as_view(), name="next"),
    path("projects/<slug:slug>/judgments", labelling.OwnJudgments.as_view(), name="judgments"),
    path("projects/<slug:slug>/images", images.ProjectImages.as_view(), name="images"),
    path("projects/<slug:slug>/prompts", comparisons.Prompts.as_view(), name="prompts"),
    path("projects/<slug:slug>/comparisons", comparisons.Comparisons.as_view(), name="comparisons"),
    path(
        "projects/<slug:slug>/comparisons/changes",
        comparison_changes.ComparisonChanges.as_view(),
        name="comparison-changes",
    ),
    path("projects/<slug:slug>/disputes", review.Disputes.as_view(), name="disputes"),
    path("projects/<slug:slug>/disputes/<int:pk>", review.Ruling.as_view(), name="dispute"),
    path("projects/<slug:slug>/members", people.Members.as_view(), name="members"),
    path("projects/<slug:slug>/members/<int:pk>", people.MemberDetail.as_view(), name="member"),
    path("projects/<slug:slug>/invitations", people.Invitations.as_view(), name="invitations"),
    path(
        "projects/<slug:slug>/invitations/<int:pk>",
        people.InvitationDetail.as_view(),
        name="invitation",
    ),
    path("projects/<slug:slug>/studies", crowd.Studies.as_view(), name="studies"),
    path("projects/<slug:slug>/studies/<int:pk>", crowd.StudyDetail.as_view(), name="study"),
    path(
        "projects/<slug:slug>/studies/<int:pk>/link", crowd.StudyLink.as_view(), name="study-link"
    ),
    path(
        "projects/<slug:slug>/studies/<int:pk>/participants",
        crowd.StudyParticipants.as_view(),
        name="study-participants",
    ),
    path("projects/<slug:slug>/machines", machine.Machines.as_view(), name="machines"),
    path(
        "projects/<slug:slug>/machine-labellings",
        machine.MachineLabellings.as_view(),
        name="machine-labellings",
    ),
    path(
        "projects/<slug:slug>/machine-labellings/<int:number>",
        machine.MachineLabellingDetail.as_view(),
        name="machine-labelling",
    ),
    path(
        "projects/<slug:slug>/machine-labellings/<int:number>/labels",
        machine.MachineLabels.as_view(),
        name="machine-labelling-labels",
    ),
    path("projects/<slug:slug>/imports", imports.Imports.as_view(), name="imports"),
    path("projects/<slug:slug>/imports/<int:pk>", imports.ImportDetail.as_view(), name="import"),
    path(
        "projects/<slug:slug>/imports/<int:pk>/left-out",
        imports.ImportLeftOut.as_view(),
        name="import-left-out",
    ),
    path("projects/<slug:slug>/guidelines", guidelines.Guidelines.as_view(), name="guidelines"),
    path(
        "projects/<slug:slug>/guidelines/acknowledgement",
        guidelines.Acknowledgement.as_view(),
        name="acknowledgement",
    ),
    path(
        "projects/<slug:slug>/guidelines/examples", guidelines.Examples.as_view(), name="examples"
    ),
    path(
        "projects/<slug:slug>/guidelines/examples/<int:pk>",
        guidelines.ExampleDetail.as_view(),
        name="example",
    ),
    path(
        "projects/<slug:slug>/guidelines/versions",
        guidelines.Versions.as_view(),
        name="guidelines-versions",
    ),
    path("projects/<slug:slug>/quiz", quiz.Quiz.as_view(), name="quiz"),
    path(
        "projects/<slug:slug>/quiz/members/<int:pk>/admission",
        quiz.QuizAdmission.as_view(),
        name="quiz-admission",
    ),
    path(
        "projects/<slug:slug>/quiz/members/<int:pk>/attempts",
        quiz.QuizAttempts.as_view(),
        name="quiz-attempts",
    ),
    path("projects/<slug:slug>/quality", quality.Quality.as_view(), name="quality"),
    path("projects/<slug:slug>/gold", quality.Gold.as_view(), name="gold"),
    path("projects/<slug:slug>/gold/promote", quality.PromoteGold.as_view(), name="promote"),
    path(
        "projects/<slug:slug>/gold/corrupted",
        quality.CorruptedGold.as_view(),
        name="corrupted",
    ),
    path("projects/<slug:slug>/gold/<int:pk>", quality.GoldDetail.as_view(), name="gold-one"),
    path(
        "projects/<slug:slug>/comparisons/<int:pk>/drafts",
        quality.GoldDrafts.as_view(),
        name="drafts",
    ),
    path("projects/<slug:slug>/releases", releases.Releases.as_view(), name="releases"),
    path("notices", notices.Notices.as_view(), name="notices"),
    path("notices/read", notices.NoticesRead.as_view(), name="notices-read"),
    path("notices/choices", notices.NoticeChoices.as_view(), name="notice-choices"),
    path("assignments/<uuid:token>", labelling.AssignmentDetail.as_view(), name="assignment"),
    path("assignments/<uuid:token>/judgment", labelling.SubmitJudgment.as_view(), name="submit"),
    path("assignments/<uuid:token>/renew", labelling.RenewAssignment.as_view(), name="renew"),
    path("assignments/<uuid:token>/skip", labelling.SkipAssignment.as_view(), name="skip"),
    path("judgments/<int:pk>", labelling.JudgmentDetail.as_view(), name="judgment"),
    path("releases/<int:pk>", releases.ReleaseDetail.as_view(), name="release"),
    path("releases/<int:pk>/folder", releases.ReleaseFolder.as_view(), name="folder"),
    path("releases/<int:pk>/records", releases.ReleaseRecords.as_view(), name="records"),
    path("images/<slug:sha256>", images.ImageFile.as_view(), name="image"),
]
