// The rows: deflated, a part at a time, and read when they are looked at. Few of them are in memory at once.

const PARTS_IN_MEMORY = 100; // more than rows on any screen, each of which may be of another part

async function inflated(text) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = binary.charCodeAt(place);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

class Store {
  constructor(index, parts) {
    this.index = index; // by position: row, group, and a column for each way to sort
    this.parts = parts; // elements with text
    this.loaded = new Map(); // the last used last
  }

  get size() {
    return this.index.row.length;
  }

  partOf(position) {
    const starts = this.index.starts;
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // The row at a position, if its part is in memory.
  at(position) {
    const part = this.partOf(position);
    return this.loaded.get(part)?.[position - this.index.starts[part]];
  }

  async load(part) {
    const rows = this.loaded.get(part) ?? JSON.parse(await inflated(this.parts[part].textContent));
    this.loaded.delete(part);
    this.loaded.set(part, rows);
    if (this.loaded.size > PARTS_IN_MEMORY) this.loaded.delete(this.loaded.keys().next().value);
    return rows;
  }

  async row(position) {
    const part = this.partOf(position);
    return (await this.load(part))[position - this.index.starts[part]];
  }

  // Positions whose row has `text` somewhere, a part at a time: [positions, parts looked at]. Keeps nothing in memory.
  async *search(text, within) {
    const wanted = text.toLowerCase();
    for (const [part, holder] of this.parts.entries()) {
      const start = this.index.starts[part];
      const rows = JSON.parse(await inflated(holder.textContent));
      const found = [];
      rows.forEach((row, place) => {
        if (within(start + place) && textsOf(row).some((each) => each.toLowerCase().includes(wanted))) {
          found.push(start + place);
        }
      });
      yield [found, part + 1];
    }
  }
}

function textsOf(row) {
  return [row.id, row.prompt, ...row.sides.flatMap((side) => (side ? [side.answer ?? "", side.error ?? ""] : []))];
}
