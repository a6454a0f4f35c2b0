"""What browsers are told to refuse, and HTTPS."""

from csp.constants import NONE, SELF

from config.settings.environment import PRIVATE, env
from config.settings.site import BEHIND_PROXY

# --- Security -------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
# Secure cookies, redirect, HSTS; on with DATABASE_URL.
HTTPS = env.bool("HTTPS", default=not PRIVATE)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = HTTPS
# Probes and Prometheus come from inside, past the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz/", r"^metrics$"]
# What Prometheus sends as its bearer token; empty: only administrators read /metrics.
METRICS_TOKEN = env("METRICS_TOKEN", default="")
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
