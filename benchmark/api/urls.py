"""REST of benchmark, under /api/v1/."""

from django.urls import path

from benchmark.api import views

app_name = "benchmark-api"
urlpatterns = [
    path("question-sets", views.QuestionSets.as_view(), name="question-sets"),
    path("judges", views.Judges.as_view(), name="judges"),
    path("evaluations", views.Evaluations.as_view(), name="evaluations"),
    path("evaluations/answers", views.BroughtAnswers.as_view(), name="bring-answers"),
    path("evaluations/<int:pk>", views.EvaluationDetail.as_view(), name="evaluation"),
    path("report-cards/<int:pk>", views.ReportCardDetail.as_view(), name="report-card"),
    path("evaluations/<int:pk>/answers", views.Answers.as_view(), name="answers"),
]
