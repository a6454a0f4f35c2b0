"""REST of training, under /api/v1/."""

urlpatterns: list = []
