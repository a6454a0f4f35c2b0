// Applies the stored colour theme before the first paint; loaded in <head> without defer for that.
const stored = localStorage.getItem("theme");
if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
