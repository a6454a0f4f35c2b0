"""Pages of benchmark."""

app_name = "benchmark"
urlpatterns: list = []
