"""Operations of migrations that keep no large table locked (``config.postgres.locking``)."""

from __future__ import annotations

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddField
from django.db.migrations.state import ProjectState


def check_name(table: str, column: str) -> str:
    """As Postgres names the check that comes with a column."""
    return f"{table}_{column}_check"


class AddFieldCheckedLater(AddField):
    """``AddField`` of a number that may not be negative, which Django has the database check.

    A column that comes with its check makes Postgres read every row while nobody can. Here the
    check is for what is written from now on; ``ValidateConstraint`` of ``check_name`` in a later
    migration reads the rest beside everybody else.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        field = model._meta.get_field(self.name)
        check = field.db_check(schema_editor.connection)
        field.db_check = lambda connection: None
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        finally:
            del field.db_check
        table = model._meta.db_table
        schema_editor.execute(
            f"ALTER TABLE {schema_editor.quote_name(table)} ADD CONSTRAINT "
            f"{schema_editor.quote_name(check_name(table, field.column))} CHECK ({check}) NOT VALID"
        )
