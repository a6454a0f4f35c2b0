"""REST of benchmark, under /api/v1/."""

urlpatterns: list = []
