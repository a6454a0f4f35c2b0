"""REST of annotation, under /api/v1/."""

from django.urls import URLPattern

app_name = "annotation-api"
urlpatterns: list[URLPattern] = []
