"""Pages of benchmark."""

from django.urls import path

from benchmark.views import (
    by_hand,
    evaluations,
    exports,
    leaderboard,
    models,
    questions,
    report_cards,
    sharing,
)

app_name = "benchmark"
urlpatterns = [
    path("", leaderboard.index, name="leaderboard"),
    path("fresh/", leaderboard.fresh, name="fresh"),
    path("leaderboard.json", exports.leaderboard_json, name="leaderboard-json"),
    path("leaderboard.csv", exports.leaderboard_csv, name="leaderboard-csv"),
    path("rankings/<str:group>/questions/", leaderboard.explorer, name="explorer"),
    path("compare/", leaderboard.compare, name="compare"),
    path("evaluations/", leaderboard.evaluations, name="evaluations"),
    path("evaluations/new/", evaluations.start, name="start"),
    path("evaluations/answers/", evaluations.bring_answers, name="bring-answers"),
    path("evaluations/<int:pk>/", evaluations.detail, name="evaluation"),
    path("evaluations/<int:pk>/export.json", exports.evaluation_json, name="evaluation-json"),
    path("evaluations/<int:pk>/export.csv", exports.evaluation_csv, name="evaluation-csv"),
    path("evaluations/<int:pk>/progress/", evaluations.progress, name="progress"),
    path("evaluations/<int:pk>/judge-again/", evaluations.judge_again, name="judge-again"),
    path("evaluations/<int:pk>/repeat/", evaluations.repeat, name="repeat"),
    path("evaluations/<int:pk>/summary.<str:form>", sharing.summary, name="summary"),
    path("models/<int:pk>/", models.detail, name="model"),
    path("models/<int:pk>/summary.<str:form>", models.summary, name="model-summary"),
    path("report-cards/<int:pk>/", report_cards.detail, name="report-card"),
    path("links/", sharing.links, name="links"),
    path("links/<int:pk>/revoke/", sharing.revoke, name="revoke-link"),
    path("verdicts/<int:pk>/settle/", evaluations.settle, name="settle"),
    path("rate/<int:pk>/", by_hand.rate, name="rate"),
    path("rate/<int:pk>/undo/", by_hand.undo, name="rate-undo"),
    path("questions/new/", questions.bring, name="bring-questions"),
    path("questions/<int:pk>/", questions.detail, name="question"),
    path("questions/<int:pk>/image/", questions.image, name="question-image"),
]
