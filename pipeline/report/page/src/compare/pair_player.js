/** Two recordings of one utterance that play together, one of them heard: a switch is immediate, at the same position. */

const APART = 0.03;

export class PairPlayer extends EventTarget {
  #voices;
  #heard = 0;

  /**
   * @param {[string, string]} sources files of both.
   * @param {[number, number]} volumes of both, 0 to 1.
   */
  constructor(sources, volumes = [1, 1]) {
    super();
    this.#voices = sources.map((source, at) => {
      const voice = new Audio(source);
      voice.preload = "auto";
      voice.volume = volumes[at];
      voice.muted = at !== 0;
      for (const event of ["play", "pause", "seeked", "loadedmetadata"])
        voice.addEventListener(event, () => this.#changed());
      voice.addEventListener("ended", () => at === this.#heard && this.pause());
      voice.addEventListener("error", () => this.dispatchEvent(new Event("failed")));
      return voice;
    });
  }

  /** Which of both is heard: 0 or 1. */
  get heard() {
    return this.#heard;
  }

  /** Whether they play. */
  get isPlaying() {
    return this.#voices.some((voice) => !voice.paused);
  }

  /** Where they are [s]. */
  get position() {
    return this.#voices[this.#heard].currentTime;
  }

  /** How far both are apart [s]. */
  get apart() {
    return Math.abs(this.#voices[0].currentTime - this.#voices[1].currentTime);
  }

  /** Hear the other one, or a certain one, at the same position. */
  hear(which = 1 - this.#heard) {
    if (this.apart > APART) this.#voices[which].currentTime = this.position;
    this.#heard = which;
    this.#voices.forEach((voice, at) => {
      voice.muted = at !== which;
    });
    this.#changed();
  }

  /** Play, or pause. */
  toggle() {
    if (this.isPlaying) {
      this.pause();
      return;
    }
    if (this.#voices[this.#heard].ended) this.seek(0);
    for (const voice of this.#voices) voice.play().catch(() => this.dispatchEvent(new Event("failed")));
    this.#follow();
  }

  /** Stop both where the heard one is. */
  pause() {
    const { position } = this;
    for (const voice of this.#voices) voice.pause();
    if (this.apart > APART) this.#voices[1 - this.#heard].currentTime = position;
  }

  /** Go to a position [s]. */
  seek(seconds) {
    for (const voice of this.#voices) voice.currentTime = Math.max(0, seconds);
    this.#changed();
  }

  #follow() {
    const step = () => {
      this.dispatchEvent(new Event("moved"));
      if (this.isPlaying) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
    this.dispatchEvent(new Event("moved"));
  }
}

/** Volumes that make both as loud as the quieter one, from their levels [dBFS]: the louder of two is liked better. */
export function matchedVolumes(first, second) {
  if (!Number.isFinite(first) || !Number.isFinite(second)) return [1, 1];
  const quieter = Math.min(first, second);
  return [first, second].map((level) => 10 ** ((quieter - level) / 20));
}
