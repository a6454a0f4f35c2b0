"""Pages of training."""

from django.urls import path

from training import views

app_name = "training"
urlpatterns = [
    path("", views.runs, name="runs"),
    path("new/", views.chain_new, name="chain-new"),
    path("runs/<int:pk>/", views.run, name="run"),
    path("runs/<int:pk>/live/", views.live, name="run-live"),
    path("runs/<int:pk>/log/", views.log, name="run-log"),
    path("runs/<int:pk>/samples/", views.samples, name="run-samples"),
    path("runs/<int:pk>/figures/", views.figures, name="run-figures"),
    path("runs/<int:pk>/metrics/<str:chart>.json", views.metrics, name="run-metrics"),
    path("runs/<int:pk>/cancel/", views.cancel, name="run-cancel"),
    path("checkpoints/", views.checkpoints, name="checkpoints"),
    path("checkpoints/<int:pk>/", views.checkpoint, name="checkpoint"),
    path("checkpoints/<int:pk>/files/<path:name>", views.checkpoint_file, name="checkpoint-file"),
]
