from django.apps import AppConfig


class BenchmarkConfig(AppConfig):
    name = "benchmark"

    def ready(self) -> None:
        from annotation.machine import labellers
        from benchmark import evaluation_runs, steps
        from benchmark.labelling.labeller import JudgeLabeller

        evaluation_runs.register()
        steps.register_own()
        labellers.register(JudgeLabeller())
