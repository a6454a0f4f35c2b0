from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        from training import steps
        from training.runs import builtin_kinds

        builtin_kinds.register_all()
        steps.register_own()
