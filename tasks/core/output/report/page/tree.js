// JSON as a tree that opens where it is clicked. What is folded is not made yet.

const OPEN_DEPTH = 2;
const MOST_CHILDREN = 500;

// The value of an answer that is an object or a list, alone or in a fence; else nothing.
function jsonOf(text) {
  const inner = /^\s*```(?:json)?\s*\n([\s\S]*?)\n?```\s*$/.exec(text)?.[1] ?? text;
  if (!/^\s*[[{]/.test(inner)) return undefined;
  try {
    return JSON.parse(inner);
  } catch {
    return undefined;
  }
}

function tree(value, name, depth = 0) {
  const label = name === undefined ? [] : [element("span", { class: "name" }, name), ": "];
  if (value === null || typeof value !== "object") {
    const kind = value === null ? "null" : typeof value;
    return element("div", { class: "leaf", dir: "auto" }, label, element("span", { class: `is-${kind}` }, JSON.stringify(value)));
  }
  const entries = Array.isArray(value) ? value.map((each, place) => [place, each]) : Object.entries(value);
  const size = Array.isArray(value) ? `[ ${entries.length} ]` : `{ ${entries.length} }`;
  const children = element("div", { class: "children" });
  const fill = () => {
    if (!children.childNodes.length) children.append(...branches(entries, depth + 1));
  };
  const open = depth < OPEN_DEPTH && entries.length <= 50;
  if (open) fill();
  return element("details", { open, ontoggle: fill }, element("summary", {}, label, element("span", { class: "size" }, size)), children);
}

function branches(entries, depth) {
  const made = entries.slice(0, MOST_CHILDREN).map(([name, value]) => tree(value, String(name), depth));
  const rest = entries.length - made.length;
  return rest > 0 ? [...made, element("div", { class: "left-out" }, `and ${counted(rest)} more; "as it is" shows them`)] : made;
}
