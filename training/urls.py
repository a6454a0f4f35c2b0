"""Pages of training."""

from django.urls import path

from training.views import (
    bases,
    chains,
    checkpoints,
    compare,
    health,
    loop,
    organising,
    runs,
)

app_name = "training"
urlpatterns = [
    path("", runs.runs, name="runs"),
    path("new/", chains.chain_new, name="chain-new"),
    path("compare/", compare.compare, name="compare"),
    path("compare/curve.json", compare.metrics, name="compare-metrics"),
    path("columns/", organising.choose_columns, name="columns"),
    path("chosen/", organising.chosen, name="chosen"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("runs/<int:pk>/describe/", organising.describe, name="run-describe"),
    path("runs/<int:pk>/pin/", organising.pin, name="run-pin"),
    path("runs/<int:pk>/archive/", organising.archive, name="run-archive"),
    path("runs/<int:pk>/live/", runs.live, name="run-live"),
    path("runs/<int:pk>/log/", runs.log, name="run-log"),
    path("runs/<int:pk>/samples/", runs.samples, name="run-samples"),
    path("runs/<int:pk>/figures/", runs.figures, name="run-figures"),
    path("runs/<int:pk>/outcomes/", runs.outcomes, name="run-outcomes"),
    path("runs/<int:pk>/origin/", runs.origin, name="run-origin"),
    path("runs/<int:pk>/metrics/<str:chart>.json", runs.metrics, name="run-metrics"),
    path("runs/<int:pk>/cancel/", runs.cancel, name="run-cancel"),
    path("runs/<int:pk>/resume/", runs.resume, name="run-resume"),
    path("runs/<int:pk>/compare/", compare.with_run, name="run-compare"),
    path("health/", health.page, name="health"),
    path("projects/<slug:slug>/loop/", loop.card, name="loop"),
    path("projects/<slug:slug>/disagreement/", loop.disagreement_page, name="disagreement"),
    path("projects/<slug:slug>/sample/", loop.sample, name="project-sample"),
    path("projects/<slug:slug>/score/", loop.score, name="project-score"),
    path("bases/import/", bases.import_new, name="base-import-new"),
    path("bases/import/<int:pk>/", bases.import_detail, name="base-import"),
    path("checkpoints/", checkpoints.checkpoints, name="checkpoints"),
    path("checkpoints/<int:pk>/", checkpoints.checkpoint, name="checkpoint"),
    path("checkpoints/<int:pk>/download/", checkpoints.download, name="checkpoint-download"),
    path("checkpoints/<int:pk>/promote/", checkpoints.promote, name="checkpoint-promote"),
    path("checkpoints/<int:pk>/sample/", checkpoints.sample, name="checkpoint-sample"),
    path("checkpoints/<int:pk>/delete/", checkpoints.delete, name="checkpoint-delete"),
    path(
        "checkpoints/<int:pk>/files/<path:name>",
        checkpoints.checkpoint_file,
        name="checkpoint-file",
    ),
]
