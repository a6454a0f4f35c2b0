from django.apps import AppConfig


class FakeAppConfig(AppConfig):
    name = "tests.training.fake_app"
    label = "fake_app"

    def ready(self) -> None:
        from tests.training.fake_app import fake_kinds

        fake_kinds.register_all()
