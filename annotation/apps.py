from importlib import import_module

from django.apps import AppConfig
from django.db.models.signals import pre_migrate

from config.reverse_migrations import refuse_to_erase


class AnnotationConfig(AppConfig):
    name = "annotation"

    def ready(self) -> None:
        # Registers itself with drf-spectacular; api.auth cannot, as DRF's settings import that.
        import_module("annotation.api.schema")
        import_module("annotation.steps").register_own()
        pre_migrate.connect(refuse_to_erase, dispatch_uid="refuse_to_erase")
