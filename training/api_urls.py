"""REST of training, under /api/v1/."""

from django.urls import path

from training import api

app_name = "training-api"
urlpatterns = [
    path("runs", api.Runs.as_view(), name="runs"),
    path("runs/<int:pk>", api.RunDetail.as_view(), name="run"),
    path("runs/<int:pk>/cancel", api.CancelRun.as_view(), name="run-cancel"),
    path("runs/<int:pk>/resume", api.ResumeRun.as_view(), name="run-resume"),
    path("runs/<int:pk>/metrics", api.RunMetrics.as_view(), name="run-metrics"),
    path("chains", api.Chains.as_view(), name="chains"),
    path("checkpoints", api.Checkpoints.as_view(), name="checkpoints"),
    path("checkpoints/<int:pk>", api.CheckpointDetail.as_view(), name="checkpoint"),
]
