// Markdown as elements: marked finds out what is what, and each piece is made here, as an element with text in it.

const MOST_MARKDOWN = 60000; // characters; longer texts are shown as they are
const SAFE_LINK = /^(https?:|mailto:)/i;
const PLAIN = { em: "em", strong: "strong", del: "del", blockquote: "blockquote" };

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const ENTITY = /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos|nbsp));/g;

function decoded(text) {
  return text.replace(ENTITY, (written, decimal, hex, name) => {
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    return name ? ENTITIES[name] : code && code <= 0x10ffff ? String.fromCodePoint(code) : written;
  });
}

// A fragment, or nothing where the text cannot be taken apart in reasonable time.
function markdown(text) {
  if (text.length > MOST_MARKDOWN) return undefined;
  try {
    const made = document.createDocumentFragment();
    made.append(...blocks(marked.lexer(text, { gfm: true })));
    return made;
  } catch {
    return undefined; // nested deeper than a browser goes
  }
}

const blocks = (tokens) => (tokens ?? []).map(block).filter((made) => made !== undefined);

function block(token) {
  const inner = () => blocks(token.tokens ?? []);
  switch (token.type) {
    case "space":
    case "def":
      return undefined;
    case "heading":
      return element(`h${Math.min(token.depth + 2, 6)}`, { dir: "auto" }, inner());
    case "paragraph":
      return element("p", { dir: "auto" }, inner());
    case "code":
      return element("pre", {}, element("code", {}, token.text));
    case "hr":
      return element("hr");
    case "br":
      return element("br");
    case "list":
      return listOf(token);
    case "checkbox":
      return token.checked ? "☑ " : "☐ ";
    case "table":
      return tableOf(token);
    case "codespan":
      return element("code", {}, token.text);
    case "link":
      return link(token);
    case "image":
      return element("span", { class: "left-out" }, `image not loaded: ${token.text || "no title"}, ${token.href}`);
    case "text":
    case "escape":
      return token.tokens ? element("span", { dir: "auto" }, inner()) : decoded(token.text);
    default: // `html` among them, which is shown as it is written
      return PLAIN[token.type] ? element(PLAIN[token.type], {}, inner()) : element("span", {}, token.raw);
  }
}

function listOf(token) {
  const start = token.ordered && token.start !== 1 ? token.start : undefined;
  const items = token.items.map((item) => element("li", { dir: "auto" }, blocks(item.tokens)));
  return element(token.ordered ? "ol" : "ul", { start }, items);
}

function tableOf(token) {
  const cells = (row, name) => row.map((cell) => element(name, { dir: "auto" }, blocks(cell.tokens)));
  const body = token.rows.map((row) => element("tr", {}, cells(row, "td")));
  return element("div", { class: "wide" },
    element("table", {}, element("thead", {}, element("tr", {}, cells(token.header, "th"))), element("tbody", {}, body)));
}

// Whoever clicks sees first where it leads to.
function link(token) {
  if (!SAFE_LINK.test(token.href.trim())) return element("span", { class: "left-out" }, `${token.text} (${token.href})`);
  const { href } = token;
  return element("a", { href, title: shown(href), target: "_blank", rel: "noopener noreferrer" }, blocks(token.tokens));
}
