// What scripts say, in the language of the page: static/js/texts/<language>.js, which base.html loads
// before any module, has the translations by their English texts. A text is marked for them by being
// given to one of these two functions as it stands.

const { form, told } = globalThis.texts ?? { form: (n) => Number(n !== 1), told: {} };

const filled = (text, values) => text.replaceAll(/%\((\w+)\)s/g, (_, name) => values[name]);

/** The text; "%(name)s" in it is replaced by values.name. */
export function gettext(text, values = {}) {
  return filled(told[text] ?? text, values);
}

/** As gettext, in the form that goes with `count`, which is among the values. */
export function ngettext(one, many, count, values = {}) {
  return filled((told[one] ?? [one, many])[told[one] ? form(count) : Number(count !== 1)], { count, ...values });
}
