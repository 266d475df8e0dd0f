/**
 * A blind comparison as a value: which of both is heard as 1 and as 2, what a person chose, and what that says. It does
 * not know the page.
 *
 * @typedef {{seed: number, choices: Object<string, "1"|"2"|"same">}} Trial choices by key.
 */

/** A new trial. */
export function newTrial(seed = crypto.getRandomValues(new Uint32Array(1))[0]) {
  return { seed, choices: {} };
}

/** Which output is heard as 1 for a key: "a" or "b". It depends on seed and key alone, each as often as the other. */
export function heardFirst({ seed }, key) {
  return mixed(seed, `side ${key}`) & 1 ? "a" : "b";
}

/** Keys in the trial's own order. */
export function shuffled({ seed }, keys) {
  const place = new Map(keys.map((key) => [key, mixed(seed, key)]));
  return [...keys].sort((one, other) => place.get(one) - place.get(other));
}

/** With a choice: "1", "2" or "same"; the same choice again takes it back. */
export function withChoice(trial, key, choice) {
  const { [key]: before, ...choices } = trial.choices;
  return { ...trial, choices: before === choice ? choices : { ...choices, [key]: choice } };
}

/** What was chosen for a key: "a", "b", "same", or undefined. */
export function chosen(trial, key) {
  const choice = trial.choices[key];
  if (choice === undefined || choice === "same") return choice;
  const first = heardFirst(trial, key);
  return choice === "1" ? first : first === "a" ? "b" : "a";
}

/**
 * The sum of the choices.
 *
 * @returns {{a: number, b: number, same: number, p: number}} p: how often mere chance would be as one-sided, of those
 *   that were not the same (two-sided sign test).
 */
export function result(trial) {
  const all = Object.keys(trial.choices).map((key) => chosen(trial, key));
  const [a, b, same] = ["a", "b", "same"].map((one) => all.filter((each) => each === one).length);
  return { a, b, same, p: signTest(a, b) };
}

/** What is exported: enough to add up the choices of several people. */
export function exported(trial, outputs, levelsMatched, now = new Date()) {
  const each = (key) => ({ key, heard_as_1: heardFirst(trial, key), chosen: chosen(trial, key) });
  return {
    format: "melmill blind comparison 1",
    exported: now.toISOString(),
    ...outputs,
    levels_matched: levelsMatched,
    seed: trial.seed,
    result: result(trial),
    choices: Object.keys(trial.choices).map(each),
  };
}

function signTest(a, b) {
  const all = a + b;
  let [tail, term] = [0, 2 ** -all];
  for (let wins = 0; wins <= Math.min(a, b); wins += 1) {
    tail += term;
    term *= (all - wins) / (wins + 1);
  }
  return Math.min(1, 2 * tail);
}

/** FNV-1a over a text, and murmur3's last steps: 32 even bits. */
function mixed(seed, text) {
  let hash = 0x811c9dc5 ^ seed;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
