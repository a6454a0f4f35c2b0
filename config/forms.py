"""How forms look: every ``{{ form }}`` is drawn with the templates of the one design.

The default form templates know nothing of the stylesheet; naming a renderer here keeps each page
from laying out its own fields. Widgets still come from Django itself.
"""

from django.forms.renderers import TemplatesSetting


class FormRenderer(TemplatesSetting):
    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
