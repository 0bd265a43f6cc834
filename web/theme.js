// The theme: light, dark, or as the system. A script and no module, so that it runs before anything is drawn.

(() => {
  const KEY = "crossmodal.theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const ICONS = {
    system: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18v18M12 8l7-1M12 12h9M12 16l7 1",
    light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M5 19l1.5-1.5m11-11L19 5",
    dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  };
  const root = document.documentElement;
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const button = Object.assign(document.createElement("button"), { type: "button", id: "theme", className: "plain" });
  let theme = "system";

  function kept() {
    try {
      const found = localStorage.getItem(KEY);
      return Object.hasOwn(NEXT, found ?? "") ? found : "system";
    } catch {
      return "system"; // without storage, the theme lasts as long as the page
    }
  }

  function use(chosen) {
    theme = chosen;
    root.dataset.theme = theme;
    path.setAttribute("d", ICONS[theme]);
    button.title = `Theme: ${theme}`;
    button.setAttribute("aria-label", `Theme: ${theme}. Change to ${NEXT[theme]}`);
    dispatchEvent(new Event("theme"));
  }

  button.addEventListener("click", () => {
    use(NEXT[theme]);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // see above
    }
  });
  use(kept());
  document.addEventListener("DOMContentLoaded", () => {
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of [["class", "icon"], ["viewBox", "0 0 24 24"], ["aria-hidden", "true"]]) icon.setAttribute(name, value);
    icon.append(path);
    button.append(icon);
    document.querySelector("header").append(button);
  });
})();
