/** One voice at a time: the page's only player of single clips. */

class Player extends EventTarget {
  #audio = new Audio();
  #source = null;

  constructor() {
    super();
    this.#audio.preload = "metadata";
    for (const event of ["play", "pause", "ended", "seeked", "loadedmetadata"]) {
      this.#audio.addEventListener(event, () => this.#changed());
    }
    this.#audio.addEventListener("error", () => {
      if (this.#source) this.dispatchEvent(new CustomEvent("failed", { detail: this.#source }));
    });
    this.#audio.addEventListener("play", () => this.#follow());
  }

  /** The file that is loaded, or null. */
  get source() {
    return this.#source;
  }

  /** Whether a file is being played now. */
  isPlaying(source = this.#source) {
    return source === this.#source && !this.#audio.paused;
  }

  /** Where it is in a file [s]; 0 in a file that is not loaded. */
  position(source) {
    return source === this.#source ? this.#audio.currentTime : 0;
  }

  /** Load a file, unless it is loaded, and go to a position [s]. */
  seek(source, seconds) {
    this.#load(source);
    this.#audio.currentTime = Math.max(0, seconds);
    this.#changed();
  }

  /** Play a file, or pause it if it is playing. */
  toggle(source) {
    if (this.isPlaying(source)) {
      this.#audio.pause();
      return;
    }
    this.#load(source);
    this.#audio.play().catch(() => this.dispatchEvent(new CustomEvent("failed", { detail: source })));
  }

  /** Stop whatever plays. */
  pause() {
    this.#audio.pause();
  }

  #load(source) {
    if (source === this.#source) return;
    this.#source = source;
    this.#audio.src = source;
    this.#changed();
  }

  #follow() {
    const step = () => {
      this.dispatchEvent(new Event("moved"));
      if (!this.#audio.paused) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
    this.dispatchEvent(new Event("moved"));
  }
}

export const player = new Player();
