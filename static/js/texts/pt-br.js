// Made of locale/pt_BR/LC_MESSAGES/djangojs.po by make languages.
globalThis.texts = { form: (n) => Number((n > 1)), told: {} };
