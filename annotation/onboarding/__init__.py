"""How people come to a project and learn its rules: invitations, guidelines, the entry quiz."""
