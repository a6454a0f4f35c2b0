// Made of locale/pt_BR/LC_MESSAGES/djangojs.po by make languages.
globalThis.texts = { form: (n) => Number((n > 1)), told: {
 "%(count)s answer is waiting to be sent": [
  "%(count)s resposta espera para ser enviada",
  "%(count)s respostas esperam para ser enviadas"
 ],
 "%(count)s answer not accepted": [
  "%(count)s resposta não aceita",
  "%(count)s respostas não aceitas"
 ],
 "%(count)s answer of %(name)s: kept in this browser, sent when %(name)s logs in here": [
  "%(count)s resposta de %(name)s: guardada neste navegador, enviada quando %(name)s entrar aqui",
  "%(count)s respostas de %(name)s: guardadas neste navegador, enviadas quando %(name)s entrar aqui"
 ],
 "%(length)s of %(most)s characters": "%(length)s de %(most)s caracteres",
 "%(words)s, response %(letter)s": "%(words)s, resposta %(letter)s",
 "%(words)s, response %(letter)s, marked as %(kind)s": "%(words)s, resposta %(letter)s, marcado como %(kind)s",
 "An answer was not accepted: %(reason)s": "Uma resposta não foi aceita: %(reason)s",
 "Answer recorded.": "Resposta registrada.",
 "Cancel": "Cancelar",
 "Copied": "Copiado",
 "Dismiss this message": "Dispensar esta mensagem",
 "Error %(status)s.": "Erro %(status)s.",
 "Fit": "Ajustar",
 "Go on": "Continuar",
 "Mark removed: %(words)s": "Marcação removida: %(words)s",
 "Marked as %(kind)s: %(words)s": "Marcado como %(kind)s: %(words)s",
 "Marked: %(words)s.": "Marcado: %(words)s.",
 "Selected: copy it": "Selecionado: copie",
 "Skipped.": "Pulada.",
 "Somebody else is logged in in this browser. Log in again in another tab:": "Outra pessoa está conectada neste navegador. Entre de novo em outra aba:",
 "That click came too early and answered nothing.": "Esse clique veio cedo demais e não respondeu nada.",
 "The earlier answer cannot be fetched just now.": "A resposta anterior não pode ser buscada agora.",
 "The server answered with error %(status)s.": "O servidor respondeu com o erro %(status)s.",
 "The server answers again.": "O servidor voltou a responder.",
 "The server cannot be reached.": "Não é possível alcançar o servidor.",
 "The server cannot be reached. Nothing on this page is lost: try again.": "Não é possível alcançar o servidor. Nada nesta página se perdeu: tente de novo.",
 "There is no earlier answer that can be changed.": "Não há resposta anterior que possa ser mudada.",
 "This browser has no room to keep answers: leave this tab open until they are sent": "Este navegador não tem espaço para guardar respostas: deixe esta aba aberta até serem enviadas",
 "This image cannot be shown. Reload the page; if it stays so, skip the comparison with that reason.": "Esta imagem não pode ser mostrada. Recarregue a página; se continuar assim, pule a comparação com esse motivo.",
 "This no longer exists. Reload the page.": "Isto não existe mais. Recarregue a página.",
 "You are logged out. Log in again in another tab:": "Você saiu da conta. Entre de novo em outra aba:",
 "You are logged out. Nothing on this page is lost: log in again in another tab, then do this once more.": "Você saiu da conta. Nada nesta página se perdeu: entre de novo em outra aba e faça isto mais uma vez.",
 "You may no longer answer in this project.": "Você não pode mais responder neste projeto.",
 "You may not do that any more. Reload the page and log in again.": "Você não pode mais fazer isso. Recarregue a página e entre de novo.",
 "Your earlier answer. Choose again to change it.": "Sua resposta anterior. Escolha de novo para mudá-la.",
 "somebody else": "outra pessoa"
} };
