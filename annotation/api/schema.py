"""What drf-spectacular cannot see by itself: how the token appears in the OpenAPI document, and
which requests may carry an idempotency key.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from annotation.api.base import IDEMPOTENCY_HEADER, LONGEST_KEY


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "annotation.api.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class Schema(AutoSchema):
    """Names the header where a view is decorated with ``base.idempotent``."""

    def get_override_parameters(self) -> Any:
        parameters = list(super().get_override_parameters())
        handlers = [getattr(self.view, name, None) for name in (self.method.lower(), "create")]
        asked = handlers if self.method == "POST" else handlers[:1]
        if any(getattr(handler, "idempotent", False) for handler in asked):
            words = f"At most {LONGEST_KEY} characters; the same request again changes nothing."
            parameters.append(
                OpenApiParameter(IDEMPOTENCY_HEADER, str, "header", description=words)
            )
        return parameters
