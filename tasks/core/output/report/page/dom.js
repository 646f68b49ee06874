// Makes elements of the page. What data or a model say goes in as text alone: nothing on this page is read as HTML.

// Control characters, marks that turn the direction of writing, halves of surrogate pairs: shown, not acted upon.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

function shown(text) {
  return text.replaceAll("\r\n", "\n").replace(UNSEEN, (unseen) => {
    const code = unseen.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
}

// `attributes`: names such as `class`, `onclick` a function; what is undefined is left out. Children: nodes or text.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(attribute.slice(2), value);
    else made.setAttribute(attribute, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null)
    .map((child) => (child instanceof Node ? child : shown(String(child)))));
  return made;
}

const byId = (id) => document.getElementById(id);
const embedded = (id) => JSON.parse(byId(id).textContent);
const counted = (number) => Math.round(number).toLocaleString("en-US");
const seconds = (value) => (value >= 100 ? `${Math.round(value)} s` : `${Number(value.toPrecision(3))} s`);
const dollars = (value) => (value >= 0.01 || !value ? `$${value.toFixed(2)}` : `$${Number(value.toPrecision(2))}`);
