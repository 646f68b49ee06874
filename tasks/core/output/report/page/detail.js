// One row, whole: its prompt, its answers beside each other, and what is known of each.

const FACTS = [
  ["model", (side) => side.model],
  ["latency", (side) => side.latency !== undefined && seconds(side.latency)],
  ["tokens", (side) => side.tokens && tokensOf(side.tokens)],
  ["price", (side) => side.dollars !== undefined && dollars(side.dollars)],
  ["requests", (side) => side.attempts > 1 && counted(side.attempts)],
  ["may be billed besides", (side) => side.maybe_billed && `${counted(side.maybe_billed)} requests without an answer`],
  ["finish reason", (side) => side.finish],
  ["service tier", (side) => side.tier],
  ["answered", (side) => side.at && new Date(side.at * 1000).toLocaleString("sv")],
  ["safety ratings", (side) => side.safety],
  ["response id", (side) => side.response_id],
  ["sample key", (side) => side.key],
];

function tokensOf([prompt, cached, answer, thought]) {
  const beside = (number, what) => (number ? ` (${counted(number)} ${what})` : "");
  return `${counted(prompt)} prompt${beside(cached, "cached")}, ${counted(answer)} answer${beside(thought, "thoughts")}`;
}

function detail(row, about, thumbs) {
  const sides = about.sides.map((name, place) => column(row.sides[place], about, name, row));
  return [
    element("h3", {}, "Prompt"),
    element("div", { class: "media" }, mediaOf(row, thumbs)),
    row.prompt && element("div", { class: "text", dir: "auto" }, row.prompt),
    cutOff(row.cut, row.prompt),
    element("div", { class: `sides of-${sides.length}` }, sides),
  ];
}

function column(side, about, name, row) {
  const title = element("h3", {}, about.sides.length > 1 ? name : "Answer", " ", side && badge(side.kind, about));
  if (!side) return element("section", {}, title, element("p", { class: "left-out" }, "This side has no such row."));
  const facts = FACTS.map(([label, of]) => [label, of(side)]).filter(([, value]) => value);
  return element("section", {},
    title,
    side.error && element("p", { class: "error", dir: "auto" }, side.error),
    side.answer && answer(side, row),
    cutOff(side.cut, side.answer),
    sources(side.sources ?? []),
    element("dl", {}, facts.map(([label, value]) => [element("dt", {}, label), element("dd", {}, value)])));
}

// The answer in each way that it can be shown; where two are compared, what differs comes first.
function answer(side, row) {
  const json = jsonOf(side.answer);
  const ways = [
    ["differences", () => differences(side, row)],
    ["JSON", () => json !== undefined && element("div", { class: "tree" }, tree(json))],
    ["Markdown", () => json === undefined && wrapped("markdown", markdown(side.answer))],
    ["as it is", () => element("pre", { class: "text", dir: "auto" }, side.answer)],
  ];
  const holder = element("div");
  const made = ways.map(([name, make]) => [name, make()]).filter(([, inner]) => inner);
  const show = (place) => holder.replaceChildren(
    element("div", { class: "ways", role: "tablist" }, made.map(([name], each) =>
      element("button", { role: "tab", "aria-selected": String(each === place), onclick: () => show(each) }, name))),
    made[place][1]);
  show(0);
  return holder;
}

const wrapped = (name, inner) => inner && element("div", { class: name }, inner);

function differences(side, row) {
  const place = row.sides.indexOf(side);
  const other = row.sides.length > 1 && row.sides[1 - place];
  if (!other || !other.answer || other.answer === side.answer) return undefined;
  const found = place ? difference(other.answer, side.answer) : difference(side.answer, other.answer);
  return found && element("div", { class: "text", dir: "auto" }, marks(found[place]));
}

const badge = (kind, about) => element("span", { class: `badge is-${about.tones[kind]}` }, kind);

function cutOff(length, text) {
  return length && element("p", { class: "left-out" }, `${counted(text.length)} of ${counted(length)} characters; the result file has all.`);
}

function sources(list) {
  if (!list.length) return undefined;
  const lines = list.map(([kind, uri, title]) => element("li", {}, `${kind}: `, link({ href: uri, text: title || uri, tokens: [{ type: "text", text: title || uri }] })));
  return [element("h4", {}, "Sources"), element("ul", {}, lines)];
}

function mediaOf(row, thumbs) {
  const found = thumbs[row.row];
  if (!found) return row.media ? element("span", { class: "medium" }, "media") : undefined;
  return found.map(([data, told]) => element("figure", {},
    data ? element("img", { src: `data:image/webp;base64,${data}`, alt: "" }) : undefined,
    element("figcaption", {}, told)));
}
