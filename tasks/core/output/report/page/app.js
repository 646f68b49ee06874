// Puts the page together: what is filtered and sorted, which row is open, what the keys do.

const about = embedded("about");
const thumbs = embedded("thumbs");
const asked = { text: "", group: -1, sort: "", down: false, turn: 0 };
const groups = new Map(about.groups.map((group) => [group.number, group]));
let store, list, open = -1;

const sort = byId("sort"), search = byId("search"), status = byId("status"), panel = byId("detail");

function line(row, position) {
  const group = groups.get(store.index.group[position]);
  const thumb = thumbs[row.row]?.find(([data]) => data);
  return [
    thumb ? element("img", { src: `data:image/webp;base64,${thumb[0]}`, alt: "", loading: "lazy" }) : undefined,
    element("div", { class: "texts" },
      element("div", { class: "head" }, element("span", { class: `badge is-${group.tone}` }, group.name),
        element("span", { class: "id" }, row.id), element("bdi", { class: "prompt" }, clip(row.prompt))),
      row.sides.map((side) => element("div", { class: side?.answer ? "preview" : "preview is-error", dir: "auto" },
        side ? clip(side.answer || side.error || "") : "no such row"))),
    element("div", { class: "numbers" }, about.sorts.filter((each) => each.shown).map((each) =>
      element("span", {}, numberOf(each, store.index.columns[each.name][position])))),
  ];
}

const clip = (text) => text.slice(0, 300).replace(/\s+/g, " ");
const numberOf = ({ unit }, value) => (value === null ? "" : unit === "s" ? seconds(value) : `${counted(value)} ${unit}`);

async function filter() {
  const turn = ++asked.turn;
  const { text, group } = asked;
  const fits = (position) => group < 0 || store.index.group[position] === group;
  let found = [];
  if (text) {
    for await (const [some, parts] of store.search(text, fits)) {
      if (turn !== asked.turn) return; // something else is asked for by now
      found.push(...some);
      status.textContent = `${counted((100 * parts) / store.parts.length)} % looked through, ${counted(found.length)} found`;
    }
  } else {
    for (let position = 0; position < store.size; position++) if (fits(position)) found.push(position);
  }
  await list.show(sorted(Uint32Array.from(found)));
  if (turn !== asked.turn) return;
  status.textContent = `${counted(found.length)} of ${counted(about.rows)} rows${about.sample ? "; " + about.sample : ""}`;
}

// What is not known comes last, whichever way.
function sorted(positions) {
  const values = store.index.columns[asked.sort];
  if (!values) return asked.down ? positions.reverse() : positions;
  const end = asked.down ? -Infinity : Infinity;
  const sign = asked.down ? -1 : 1;
  return positions.sort((a, b) => sign * ((values[a] ?? end) - (values[b] ?? end)) || a - b);
}

function ask(changes) {
  Object.assign(asked, changes);
  for (const chip of document.querySelectorAll("[data-group]")) {
    chip.setAttribute("aria-pressed", String(Number(chip.dataset.group) === asked.group));
  }
  return filter();
}

// A row's address: #row=12. What the list was asked for gives way to it.
async function goTo() {
  const wanted = /^#row=(\d+)$/.exec(location.hash)?.[1];
  if (wanted === undefined) return close(false);
  const position = store.index.row.indexOf(Number(wanted));
  if (position < 0) {
    status.textContent = `row ${counted(wanted)} is not among the rows that this page holds; the result file has it`;
    return undefined;
  }
  if (list.placeOf(position) < 0) {
    search.value = "";
    await ask({ text: "", group: -1 });
  }
  list.choose(list.placeOf(position));
  return show(position);
}

async function show(position) {
  open = position;
  const row = await store.row(position);
  if (open !== position) return;
  panel.hidden = false;
  document.body.classList.add("with-detail");
  panel.replaceChildren(
    element("div", { class: "bar" },
      element("strong", {}, `Row ${counted(row.row)}`), element("span", { class: "id" }, `id ${row.id}`),
      element("a", { href: `#row=${row.row}` }, "address"),
      element("button", { onclick: () => step(-1), title: "k" }, "previous"),
      element("button", { onclick: () => step(1), title: "j" }, "next"),
      element("button", { onclick: () => close(), title: "Esc" }, "close")),
    ...detail(row, about, thumbs).flat(Infinity).filter(Boolean));
  panel.scrollTop = 0;
  history.replaceState(null, "", `#row=${row.row}`);
  byId("rows").scrollIntoView({ block: "start" });
}

function step(by) {
  const place = list.chosen + by;
  return panel.hidden ? list.choose(place) : list.open(place);
}

function close(change = true) {
  open = -1;
  panel.hidden = true;
  document.body.classList.remove("with-detail");
  if (change) history.replaceState(null, "", location.pathname + location.search);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (!panel.hidden) close();
    else if (asked.text || asked.group >= 0) ask({ text: (search.value = ""), group: -1 });
    return;
  }
  if (event.key === "Enter" && event.target === search) return search.blur();
  const does = { j: () => step(1), k: () => step(-1), "/": () => search.focus(), t: switchTheme, Enter: () => list.open(Math.max(0, list.chosen)) };
  const onButton = event.key === "Enter" && /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName);
  if (typing || onButton || !does[event.key]) return;
  event.preventDefault();
  if (event.key !== "t") byId("rows").scrollIntoView({ block: "start" });
  does[event.key]();
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

async function start() {
  const index = JSON.parse(await inflated(byId("index").textContent));
  store = new Store(index, [...document.querySelectorAll("script.part")]);
  list = new List(store, byId("list"), byId("spacer"), line, show);
  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ask({ text: search.value.trim() }), 150);
  });
  sort.addEventListener("change", () => ask({ sort: sort.value, down: sort.value !== "" }));
  byId("order").addEventListener("click", () => ask({ down: !asked.down }));
  for (const chip of document.querySelectorAll("[data-group]")) {
    const group = Number(chip.dataset.group);
    chip.addEventListener("click", () => ask({ group: asked.group === group ? -1 : group })
      .then(() => byId("rows").scrollIntoView({ block: "start" })));
  }
  document.addEventListener("keydown", key);
  addEventListener("hashchange", goTo);
  await ask({});
  await goTo();
  document.documentElement.dataset.ready = "";
}

byId("theme").addEventListener("click", switchTheme);
if (window.DecompressionStream) start();
else status.textContent = "This browser is too old to show the rows: Chrome 80, Firefox 113 and Safari 16.4 can.";
