"""What anybody may read who has a link: no log-in, no changes."""

from django.urls import path

from benchmark.views import shared

app_name = "shared"
urlpatterns = [
    path("<str:token>/", shared.index, name="index"),
    path("<str:token>/evaluations/<int:pk>/", shared.evaluation, name="evaluation"),
    path("<str:token>/photographs/<int:pk>/", shared.photograph, name="photograph"),
    path("<str:token>/summary.<str:form>", shared.summary, name="summary"),
]
