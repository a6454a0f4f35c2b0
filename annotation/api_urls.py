"""REST of annotation, under /api/v1/."""

from django.urls import path

from annotation import api, api_data, api_imports, api_people, api_quality, api_review

app_name = "annotation-api"
urlpatterns = [
    path("projects", api.Projects.as_view(), name="projects"),
    path("projects/<slug:slug>", api.ProjectDetail.as_view(), name="project"),
    path("projects/<slug:slug>/progress", api.Progress.as_view(), name="progress"),
    path("projects/<slug:slug>/assignments/next", api.NextAssignment.as_view(), name="next"),
    path("projects/<slug:slug>/judgments", api.OwnJudgments.as_view(), name="judgments"),
    path("projects/<slug:slug>/images", api_data.ProjectImages.as_view(), name="images"),
    path("projects/<slug:slug>/prompts", api_data.Prompts.as_view(), name="prompts"),
    path("projects/<slug:slug>/comparisons", api_data.Comparisons.as_view(), name="comparisons"),
    path("projects/<slug:slug>/disputes", api_review.Disputes.as_view(), name="disputes"),
    path("projects/<slug:slug>/disputes/<int:pk>", api_review.Ruling.as_view(), name="dispute"),
    path("projects/<slug:slug>/members", api_people.Members.as_view(), name="members"),
    path("projects/<slug:slug>/members/<int:pk>", api_people.MemberDetail.as_view(), name="member"),
    path("projects/<slug:slug>/invitations", api_people.Invitations.as_view(), name="invitations"),
    path(
        "projects/<slug:slug>/invitations/<int:pk>",
        api_people.InvitationDetail.as_view(),
        name="invitation",
    ),
    path("projects/<slug:slug>/imports", api_imports.Imports.as_view(), name="imports"),
    path(
        "projects/<slug:slug>/imports/<int:pk>", api_imports.ImportDetail.as_view(), name="import"
    ),
    path("projects/<slug:slug>/quality", api_quality.Quality.as_view(), name="quality"),
    path("projects/<slug:slug>/gold", api_quality.Gold.as_view(), name="gold"),
    path("projects/<slug:slug>/gold/promote", api_quality.PromoteGold.as_view(), name="promote"),
    path(
        "projects/<slug:slug>/gold/corrupted",
        api_quality.CorruptedGold.as_view(),
        name="corrupted",
    ),
    path("projects/<slug:slug>/gold/<int:pk>", api_quality.GoldDetail.as_view(), name="gold-one"),
    path(
        "projects/<slug:slug>/comparisons/<int:pk>/drafts",
        api_quality.GoldDrafts.as_view(),
        name="drafts",
    ),
    path("projects/<slug:slug>/releases", api_data.Releases.as_view(), name="releases"),
    path("assignments/<uuid:token>", api.AssignmentDetail.as_view(), name="assignment"),
    path("assignments/<uuid:token>/judgment", api.SubmitJudgment.as_view(), name="submit"),
    path("assignments/<uuid:token>/renew", api.RenewAssignment.as_view(), name="renew"),
    path("assignments/<uuid:token>/skip", api.SkipAssignment.as_view(), name="skip"),
    path("judgments/<int:pk>", api.JudgmentDetail.as_view(), name="judgment"),
    path("releases/<int:pk>", api_data.ReleaseDetail.as_view(), name="release"),
    path("releases/<int:pk>/folder", api_data.ReleaseFolder.as_view(), name="folder"),
    path("releases/<int:pk>/records", api_data.ReleaseRecords.as_view(), name="records"),
    path("images/<slug:sha256>", api_data.ImageFile.as_view(), name="image"),
]
