from importlib import import_module

from django.apps import AppConfig


class AnnotationConfig(AppConfig):
    name = "annotation"

    def ready(self) -> None:
        # Registers itself with drf-spectacular; api.auth cannot, as DRF's settings import that.
        import_module("annotation.api.schema")
