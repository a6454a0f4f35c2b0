// Made of locale/es/LC_MESSAGES/djangojs.po by make languages.
globalThis.texts = { form: (n) => Number((n != 1)), told: {
 "%(count)s answer is waiting to be sent": [
  "%(count)s respuesta espera a ser enviada",
  "%(count)s respuestas esperan a ser enviadas"
 ],
 "%(count)s answer not accepted": [
  "%(count)s respuesta no aceptada",
  "%(count)s respuestas no aceptadas"
 ],
 "%(count)s answer of %(name)s: kept in this browser, sent when %(name)s logs in here": [
  "%(count)s respuesta de %(name)s: guardada en este navegador, se envía cuando %(name)s inicie sesión aquí",
  "%(count)s respuestas de %(name)s: guardadas en este navegador, se envían cuando %(name)s inicie sesión aquí"
 ],
 "%(length)s of %(most)s characters": "%(length)s de %(most)s caracteres",
 "%(words)s, response %(letter)s": "%(words)s, respuesta %(letter)s",
 "%(words)s, response %(letter)s, marked as %(kind)s": "%(words)s, respuesta %(letter)s, marcado como %(kind)s",
 "An answer was not accepted: %(reason)s": "No se aceptó una respuesta: %(reason)s",
 "Answer recorded.": "Respuesta registrada.",
 "Cancel": "Cancelar",
 "Copied": "Copiado",
 "Dismiss this message": "Descartar este mensaje",
 "Error %(status)s.": "Error %(status)s.",
 "Fit": "Ajustar",
 "Go on": "Continuar",
 "Mark removed: %(words)s": "Marca quitada: %(words)s",
 "Marked as %(kind)s: %(words)s": "Marcado como %(kind)s: %(words)s",
 "Marked: %(words)s.": "Marcado: %(words)s.",
 "Selected: copy it": "Seleccionado: cópielo",
 "Skipped.": "Omitida.",
 "Somebody else is logged in in this browser. Log in again in another tab:": "Otra persona tiene la sesión abierta en este navegador. Inicie sesión de nuevo en otra pestaña:",
 "That click came too early and answered nothing.": "Ese clic llegó demasiado pronto y no respondió nada.",
 "The earlier answer cannot be fetched just now.": "Ahora no se puede obtener la respuesta anterior.",
 "The server answered with error %(status)s.": "El servidor respondió con el error %(status)s.",
 "The server answers again.": "El servidor responde de nuevo.",
 "The server cannot be reached.": "No se puede contactar con el servidor.",
 "The server cannot be reached. Nothing on this page is lost: try again.": "No se puede contactar con el servidor. Nada de esta página se ha perdido: inténtelo de nuevo.",
 "There is no earlier answer that can be changed.": "No hay ninguna respuesta anterior que se pueda cambiar.",
 "This browser has no room to keep answers: leave this tab open until they are sent": "Este navegador no tiene espacio para guardar respuestas: deje abierta esta pestaña hasta que se envíen",
 "This image cannot be shown. Reload the page; if it stays so, skip the comparison with that reason.": "Esta imagen no se puede mostrar. Recargue la página; si sigue así, omita la comparación con ese motivo.",
 "This no longer exists. Reload the page.": "Esto ya no existe. Recargue la página.",
 "You are logged out. Log in again in another tab:": "Su sesión está cerrada. Inicie sesión de nuevo en otra pestaña:",
 "You are logged out. Nothing on this page is lost: log in again in another tab, then do this once more.": "Su sesión está cerrada. Nada de esta página se ha perdido: inicie sesión de nuevo en otra pestaña y haga esto una vez más.",
 "You may no longer answer in this project.": "Ya no puede responder en este proyecto.",
 "You may not do that any more. Reload the page and log in again.": "Ya no puede hacer eso. Recargue la página e inicie sesión de nuevo.",
 "Your earlier answer. Choose again to change it.": "Su respuesta anterior. Elija de nuevo para cambiarla.",
 "somebody else": "otra persona"
} };
