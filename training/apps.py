from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        from training.runs import builtin_kinds

        builtin_kinds.register_all()
