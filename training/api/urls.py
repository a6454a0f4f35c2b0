"""REST of training, under /api/v1/."""

from django.urls import path

from training.api import bases, checkpoints, loop, runs

app_name = "training-api"
urlpatterns = [
    path("runs", runs.Runs.as_view(), name="runs"),
    path("runs/<int:pk>", runs.RunDetail.as_view(), name="run"),
    path("runs/<int:pk>/cancel", runs.CancelRun.as_view(), name="run-cancel"),
    path("runs/<int:pk>/resume", runs.ResumeRun.as_view(), name="run-resume"),
    path("runs/<int:pk>/metrics", runs.RunMetrics.as_view(), name="run-metrics"),
    path("run-groups", runs.RunGroups.as_view(), name="run-groups"),
    path("chains", runs.Chains.as_view(), name="chains"),
    path("checkpoints", checkpoints.Checkpoints.as_view(), name="checkpoints"),
    path("checkpoints/<int:pk>", checkpoints.CheckpointDetail.as_view(), name="checkpoint"),
    path(
        "checkpoints/<int:pk>/archive",
        checkpoints.CheckpointArchive.as_view(),
        name="checkpoint-archive",
    ),
    path(
        "checkpoints/<int:pk>/promote",
        checkpoints.PromoteCheckpoint.as_view(),
        name="checkpoint-promote",
    ),
    path(
        "checkpoints/<int:pk>/sample",
        checkpoints.SampleCheckpoint.as_view(),
        name="checkpoint-sample",
    ),
    path("projects/<slug:slug>/sample", loop.SampleProject.as_view(), name="project-sample"),
    path("projects/<slug:slug>/score", loop.ScoreProject.as_view(), name="project-score"),
    path("base-imports", bases.BaseImports.as_view(), name="base-imports"),
    path("base-imports/<int:pk>", bases.BaseImportDetail.as_view(), name="base-import"),
]
