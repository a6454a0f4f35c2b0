"""Accounts, log-ins and how many may fail, single sign-on."""

from django.core.exceptions import ImproperlyConfigured

from config import oidc
from config.settings.environment import env

# --- People ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "annotation.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
SESSION_ENGINE = "config.sessions"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "annotation:projects"
LOGOUT_REDIRECT_URL = "login"

AXES_HANDLER = "annotation.throttle.Throttle"
AXES_CLIENT_IP_CALLABLE = "config.proxies.counted_address"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
# Of strangers alone, within the same quarter of an hour (annotation.throttle).
LOGIN_FAILURES_OF_A_NAME = 50
LOGIN_FAILURES_OF_AN_ADDRESS = 100
# Whoever goes on guessing at a closed log-in neither prolongs the wait nor fills another count.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "locked_out.html"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# What axes keeps of a failed log-in without these: the page to go to may be an invitation, and a
# code may be a recovery code with one letter wrong.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "next", "code"]

# Whether administrators must have a second factor, without which they reach only the page that sets
# it up; others may have one.
SECOND_FACTOR_FOR_ADMINISTRATORS = env.bool("SECOND_FACTOR_FOR_ADMINISTRATORS", default=False)
# What an authenticator app calls the account.
OTP_TOTP_ISSUER = "FactLoop"

# --- Single sign-on -------------------------------------------------------------------------

# The issuer of a provider of OpenID Connect, as https://login.example.org/realms/lab, which people
# log in through; empty: passwords alone. It sends people back to /login/sso/callback/.
OIDC_ISSUER = env("OIDC_ISSUER", default="")
# As what the provider knows this site.
OIDC_CLIENT_ID = env("OIDC_CLIENT_ID", default="")
# The secret that the provider gave it.
OIDC_CLIENT_SECRET = env("OIDC_CLIENT_SECRET", default="")
# What people call the provider: it stands on the button of the log-in.
OIDC_NAME = env("OIDC_NAME", default="Single sign-on")
# What the provider is asked to tell, by commas. Some tell groups only with one of their own.
OIDC_SCOPES = env.list("OIDC_SCOPES", default=["openid", "profile", "email"])
# The claim in which it tells a person's groups.
OIDC_GROUPS_CLAIM = env("OIDC_GROUPS_CLAIM", default="groups")
# What groups give, as JSON: {"lab": "street-scenes:annotator", "leads": ["administrator"]}. Brought
# up to date at each log-in; a group that names administrators takes it from everybody else.
OIDC_GROUPS = oidc.read_grants(env("OIDC_GROUPS", default=""))
# Groups whose people may enter, by commas; empty: everybody whom the provider lets log in.
OIDC_ENTRY_GROUPS = env.list("OIDC_ENTRY_GROUPS", default=[])
# How long such a log-in lasts: what changes at the provider is seen after this at the latest.
OIDC_SESSION_HOURS = env.float("OIDC_SESSION_HOURS", default=12)
# Whether passwords log in too. Without them the provider alone does, and invitations make no
# accounts.
LOCAL_LOGIN = env.bool("LOCAL_LOGIN", default=True)
if not LOCAL_LOGIN and not OIDC_ISSUER:
    raise ImproperlyConfigured("LOCAL_LOGIN is off and OIDC_ISSUER is not set: nobody could log in")
OIDC_PROVIDER_ID = oidc.provider_id(OIDC_ISSUER) if OIDC_ISSUER else ""
SOCIALACCOUNT_PROVIDERS = (
    oidc.provider(
        OIDC_ISSUER,
        client=OIDC_CLIENT_ID,
        secret=OIDC_CLIENT_SECRET,
        name=OIDC_NAME,
        scopes=OIDC_SCOPES,
    )
    if OIDC_ISSUER
    else {}
)
# Of allauth nothing is used but the protocol: accounts, passwords and addresses are ours.
ACCOUNT_ADAPTER = "annotation.single_sign_on.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "annotation.single_sign_on.adapters.SocialAccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_ONLY = True
