/** Light and dark: as the system has it, until a person chooses. */

import { el } from "./dom.js";
import { keep, kept } from "./keep.js";

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const SHOWN = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" };
const system = window.matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark now. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "dark" || (chosen !== "light" && system.matches);
}

/** Show the page in the theme that was kept, and follow the system. */
export function startTheme() {
  show(kept("theme", "auto"));
  system.addEventListener("change", announce);
}

/** The button that changes the theme. */
export function themeButton() {
  const shown = () => SHOWN[kept("theme", "auto")] ?? SHOWN.auto;
  const button = el(
    "button",
    { type: "button", class: "quiet", title: "Light, dark, or as the system has it" },
    shown(),
  );
  button.addEventListener("click", () => {
    keep("theme", NEXT[kept("theme", "auto")] ?? "auto");
    show(kept("theme", "auto"));
    button.textContent = shown();
  });
  return button;
}

function show(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  announce();
}

function announce() {
  document.dispatchEvent(new Event("melmill-theme"));
}
