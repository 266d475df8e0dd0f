/** What the page keeps for the next time it is opened. Where a browser lets a page keep nothing, it is kept until it is closed. */

const PREFIX = "melmill:";
const memory = new Map();

/** Whether what is kept outlasts the page. */
export function lasting() {
  try {
    localStorage.setItem(`${PREFIX}probe`, "1");
    localStorage.removeItem(`${PREFIX}probe`);
    return true;
  } catch {
    return false;
  }
}

/** Keep a value that JSON can hold. */
export function keep(name, value) {
  const text = JSON.stringify(value);
  memory.set(name, text);
  try {
    localStorage.setItem(PREFIX + name, text);
  } catch {
    // It is full, or not allowed: `lasting` says so to whoever asks.
  }
}

/** What was kept under a name, or `otherwise`. */
export function kept(name, otherwise) {
  try {
    return JSON.parse(memory.get(name) ?? localStorage.getItem(PREFIX + name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
