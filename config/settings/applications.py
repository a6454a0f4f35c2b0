"""What the site is made of: applications, middleware, templates."""

from config import places
from config.settings.site import BEHIND_PROXY

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "annotation",
    "training",
    "benchmark",
    "demo",
]

MIDDLEWARE = [
    *(["config.proxies.ClientAddress"] if BEHIND_PROXY else []),
    "config.logs.RequestLog",
    *(["config.proxies.NoRedirectForEver"] if BEHIND_PROXY else []),
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.compression.CompressedPages",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.languages.SpeaksTheirLanguage",
    "config.bodies.BodyLimit",
    "config.request_validation.StorableTexts",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "annotation.page_owner.PagesSpeakForTheirPerson",
    "annotation.page_owner.LogInLeadsBackToThePage",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "annotation.middleware.AdministratorsShowSecondFactor",
    "annotation.crowd.confinement.ParticipantsStayInTheirStudy",
    "annotation.sent_once.FormsAreTakenOnce",
    "annotation.middleware.SaysStorageTrouble",
    "config.errors.OwnWords",
]
CSRF_FAILURE_VIEW = "config.errors.other_session"

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # A benchmark's folder may hold fragments of its own: "NAME/outcome.html".
        "DIRS": [places.TEMPLATES, places.CODE / "benchmark" / "protocols"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

FORM_RENDERER = "config.forms.FormRenderer"
