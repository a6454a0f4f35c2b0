"""REST of annotation, under /api/v1/."""

urlpatterns: list = []
