"""REST of benchmark, under /api/v1/."""

from django.urls import path

from benchmark import api

app_name = "benchmark-api"
urlpatterns = [
    path("question-sets", api.QuestionSets.as_view(), name="question-sets"),
    path("judges", api.Judges.as_view(), name="judges"),
    path("evaluations", api.Evaluations.as_view(), name="evaluations"),
    path("evaluations/<int:pk>", api.EvaluationDetail.as_view(), name="evaluation"),
    path("evaluations/<int:pk>/answers", api.Answers.as_view(), name="answers"),
]
