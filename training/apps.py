from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        from annotation.machine import labellers
        from training import steps
        from training.loop.label_comparisons import RewardModelLabeller
        from training.runs import builtin_kinds

        builtin_kinds.register_all()
        steps.register_own()
        labellers.register(RewardModelLabeller())
