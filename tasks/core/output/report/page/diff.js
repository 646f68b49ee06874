// What differs between two texts, word by word: the longest common subsequence, between what both begin and end with.

const MOST_CELLS = 4_000_000; // of the table: some 2,000 words on each side

const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

// For each side a list of [text, whether the other side has it]; nothing where the texts are too long.
function difference(left, right) {
  const [a, b] = [words(left), words(right)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (x.length * y.length > MOST_CELLS) return undefined;
  const [inX, inY] = common(x, y);
  const pieces = (all, inner, kept) => joined([
    [all.slice(0, start).join(""), true],
    ...inner.map((word, place) => [word, kept[place]]),
    [all.slice(all.length - end).join(""), true],
  ]);
  return [pieces(a, x, inX), pieces(b, y, inY)];
}

function common(x, y) {
  const width = y.length + 1;
  const lengths = new Uint16Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      lengths[i * width + j] = x[i] === y[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const [inX, inY] = [new Array(x.length).fill(false), new Array(y.length).fill(false)];
  for (let i = 0, j = 0; i < x.length && j < y.length;) {
    if (x[i] === y[j]) inX[i++] = inY[j++] = true;
    else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
    else j++;
  }
  return [inX, inY];
}

function joined(pieces) {
  const made = [];
  for (const [text, kept] of pieces) {
    if (made.length && made.at(-1)[1] === kept) made.at(-1)[0] += text;
    else if (text) made.push([text, kept]);
  }
  return made;
}

const marks = (pieces) => pieces.map(([text, kept]) => (kept ? text : element("mark", {}, text)));
