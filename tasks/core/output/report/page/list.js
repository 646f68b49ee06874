// The list of rows: as many elements as fit on the screen, whatever there is to scroll through.

const ROWS_BEYOND = 6; // made above and below what is seen

class List {
  // `line(row, position)`: the element of a row; `opened(position)`: what is done with one that was chosen.
  constructor(store, viewport, spacer, line, opened) {
    Object.assign(this, { store, viewport, spacer, line, opened, positions: new Uint32Array(), chosen: -1 });
    this.height = parseFloat(getComputedStyle(viewport).getPropertyValue("--row"));
    viewport.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(viewport);
  }

  show(positions) {
    this.positions = positions;
    this.chosen = -1;
    this.spacer.style.height = `${positions.length * this.height}px`;
    this.viewport.scrollTop = 0;
    return this.draw();
  }

  get seen() {
    const first = Math.max(0, Math.floor(this.viewport.scrollTop / this.height) - ROWS_BEYOND);
    const count = Math.ceil(this.viewport.clientHeight / this.height) + 2 * ROWS_BEYOND;
    return [first, Math.min(this.positions.length, first + count)];
  }

  // Done when all that is seen is there.
  async draw() {
    const [first, last] = this.seen;
    const made = [];
    const missing = new Set();
    for (let place = first; place < last; place++) {
      const row = this.store.at(this.positions[place]);
      if (row === undefined) missing.add(this.store.partOf(this.positions[place]));
      made.push(this.place(row, place));
    }
    this.spacer.replaceChildren(...made);
    if (missing.size) await this.fetch(missing);
  }

  place(row, place) {
    const inner = row ? this.line(row, this.positions[place]) : "…";
    const made = element("div", { class: "row", id: `at-${place}`, role: "option", "aria-selected": String(place === this.chosen),
      "aria-setsize": this.positions.length, "aria-posinset": place + 1, onclick: () => this.open(place) }, inner);
    made.style.transform = `translateY(${place * this.height}px)`;
    return made;
  }

  // One at a time: what is seen by then is asked for anew.
  fetch(parts) {
    this.fetching ??= Promise.all([...parts].map((part) => this.store.load(part))).then(() => {
      this.fetching = undefined;
      return this.draw();
    });
    return this.fetching;
  }

  choose(place) {
    if (!this.positions.length) return;
    this.chosen = Math.max(0, Math.min(this.positions.length - 1, place));
    const [top, { scrollTop, clientHeight }] = [this.chosen * this.height, this.viewport];
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.viewport.scrollTop = top + this.height - clientHeight;
    this.viewport.setAttribute("aria-activedescendant", `at-${this.chosen}`);
    this.draw();
  }

  open(place) {
    this.choose(place);
    if (this.positions.length) this.opened(this.positions[this.chosen]);
  }

  placeOf(position) {
    return this.positions.indexOf(position);
  }
}
