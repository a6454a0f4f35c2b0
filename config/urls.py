"""Routes of the installation: each app brings its own pages and its own part of the API."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from annotation.single_sign_on import views as single_sign_on
from annotation.views import login
from config import api_docs, home
from config.schema import Schema
from training.views import health

handler400 = "config.errors.bad_request"
handler403 = "config.errors.not_allowed"
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"

urlpatterns = [
    path("", home.home, name="home"),
    path("login/", login.LogIn.as_view(), name="login"),
    path("login/code/", login.code, name="login-code"),
    path("login/sso/", single_sign_on.begin, name="single-sign-on"),
    # By this name and argument allauth finds the address that it tells the provider.
    path(
        "login/sso/callback/",
        single_sign_on.come_back,
        {"provider_id": lazy(lambda: settings.OIDC_PROVIDER_ID, str)()},
        name="openid_connect_callback",
    ),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("", include("annotation.urls")),
    path("training/", include("training.urls")),
    path("benchmarks/", include("benchmark.urls")),
    path("shared/", include("benchmark.shared_urls")),
    path("healthz/live", health.live, name="live"),
    path("healthz/ready", health.ready, name="ready"),
    path("metrics", health.metrics, name="metrics"),
    # The administrators' own log-in would not ask for a second factor.
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),
    path("admin/", admin.site.urls),
    path("api/v1/", include("annotation.api.urls")),
    path("api/v1/", include("training.api.urls")),
    path("api/v1/", include("benchmark.api.urls")),
    path("api/schema/", Schema.as_view(), name="schema"),
    path("api/docs/", api_docs.page, name="api-docs"),
]
