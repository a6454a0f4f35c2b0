"""Pages of annotation. Included at the root: each route is written out whole here."""

from django.urls import path

from annotation.views import (
    account,
    adjudication,
    comparisons,
    corrupted,
    exchange,
    labelling,
    members,
    projects,
    quality,
)

app_name = "annotation"
urlpatterns = [
    path("projects/", projects.index, name="projects"),
    path("new-project/", projects.create, name="project-new"),
    path("projects/<slug:slug>/", projects.detail, name="project"),
    path("projects/<slug:slug>/settings/", projects.edit, name="project-edit"),
    path("projects/<slug:slug>/members/", members.index, name="members"),
    path("projects/<slug:slug>/members/<int:pk>/", members.change, name="member"),
    path("projects/<slug:slug>/invitations/", members.invite, name="invitations"),
    path("join/<str:raw>/", members.join, name="join"),
    path("projects/<slug:slug>/comparisons/", comparisons.index, name="comparisons"),
    path("projects/<slug:slug>/comparisons/<int:pk>/", comparisons.detail, name="comparison"),
    path("projects/<slug:slug>/disputes/", adjudication.queue, name="disputes"),
    path("projects/<slug:slug>/disputes/<int:pk>/", adjudication.rule, name="dispute"),
    path("projects/<slug:slug>/comparisons/<int:pk>/gold/", quality.gold, name="gold"),
    path("projects/<slug:slug>/quality/", quality.page, name="quality"),
    path("projects/<slug:slug>/people/<int:pk>/", quality.annotator, name="annotator"),
    path("projects/<slug:slug>/quality/gold/", quality.promote, name="promote"),
    path("projects/<slug:slug>/quality/corrupted/", corrupted.draft, name="corrupted"),
    path("projects/<slug:slug>/quality/corrupted/<int:pk>/", corrupted.make, name="corrupt"),
    path("projects/<slug:slug>/imports/", exchange.imports, name="imports"),
    path("projects/<slug:slug>/imports/<int:pk>/", exchange.import_job, name="import"),
    path("projects/<slug:slug>/releases/", exchange.releases, name="releases"),
    path("projects/<slug:slug>/releases/<int:number>/", exchange.release, name="release"),
    path(
        "projects/<slug:slug>/releases/<int:number>/folder/<slug:format_name>/",
        exchange.download_folder,
        name="release-folder",
    ),
    path(
        "projects/<slug:slug>/releases/<int:number>/<slug:format_name>/",
        exchange.download,
        name="release-download",
    ),
    path("projects/<slug:slug>/label/", labelling.page, name="label"),
    path("projects/<slug:slug>/label/next/", labelling.ahead, name="label-next"),
    path("projects/<slug:slug>/label/previous/", labelling.previous, name="label-previous"),
    path("projects/<slug:slug>/my-answers/", labelling.my_answers, name="my-answers"),
    path("projects/<slug:slug>/label/guidelines/", labelling.acknowledge, name="acknowledge"),
    path("label/<uuid:token>/answer/", labelling.answer, name="answer"),
    path("label/<uuid:token>/skip/", labelling.skip, name="skip"),
    path("label/<uuid:token>/renew/", labelling.renew, name="renew"),
    path("account/tokens/", account.tokens, name="tokens"),
    path("account/tokens/<int:pk>/revoke/", account.revoke, name="token-revoke"),
]
