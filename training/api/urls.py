"""REST of training, under /api/v1/."""

from django.urls import path

from training.api import views

app_name = "training-api"
urlpatterns = [
    path("runs", views.Runs.as_view(), name="runs"),
    path("runs/<int:pk>", views.RunDetail.as_view(), name="run"),
    path("runs/<int:pk>/cancel", views.CancelRun.as_view(), name="run-cancel"),
    path("runs/<int:pk>/resume", views.ResumeRun.as_view(), name="run-resume"),
    path("runs/<int:pk>/metrics", views.RunMetrics.as_view(), name="run-metrics"),
    path("chains", views.Chains.as_view(), name="chains"),
    path("checkpoints", views.Checkpoints.as_view(), name="checkpoints"),
    path("checkpoints/<int:pk>", views.CheckpointDetail.as_view(), name="checkpoint"),
]
