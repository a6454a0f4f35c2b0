"""The REST API and its schema."""

from config.settings.environment import env

# --- REST -----------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotation.api.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "annotation.api.auth.HasScope",
    ],
    # JSON alone: the framework's own pages write styles into themselves, which the
    # Content-Security-Policy refuses. People read the API at api/docs/.
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotation.api.base.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "annotation.api.schema.Schema",
    "EXCEPTION_HANDLER": "annotation.api.errors.problem_details",
    "DEFAULT_PAGINATION_CLASS": "annotation.api.base.ById",
    "PAGE_SIZE": 100,
    # A query parameter named "format" is a release's format here, not a renderer's.
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FactLoop",
    "DESCRIPTION": "Preference data, training runs and benchmark scores over REST.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [
        "rest_framework.permissions.IsAuthenticated"
        # Whether /api/schema/ answers only people who are logged in.
        if env.bool("API_SCHEMA_NEEDS_LOGIN", default=False)
        else "rest_framework.permissions.AllowAny"
    ],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Fields of one name with choices of their own; without this they are told apart by a hash.
    "ENUM_NAME_OVERRIDES": {
        "ChoiceEnum": "annotation.models.work.Choice",
        "RunState": "training.models.State",
        "RunPreset": "training.rlhf.presets.OFFERED",
        "ImportFormat": "annotation.models.exchange.ImportJob.Format",
        "ImportState": "annotation.models.exchange.ImportJob.State",
        "ProjectState": "annotation.models.projects.Project.State",
        "CheckpointKind": "training.models.Checkpoint.Kind",
        "MachineLabellingState": "annotation.models.machine.MachineLabelling.State",
    },
}
