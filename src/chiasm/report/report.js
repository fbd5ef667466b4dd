"use strict";
// Model text is only ever set as textContent: nothing that a model writes can become markup.
const PAGE = 48;
const KINDS = {
  hallucination: "Hallucination", missed_object: "Missed object", wrong_location: "Wrong location",
  wrong_answer: "Wrong answer", wrong_scene: "Wrong scene", unparsed: "Unparsed",
};
const TASKS = { scene: "Scene", caption: "Caption", answer: "Question", detect: "Objects", ground: "Grounding" };
const galleries = JSON.parse(document.getElementById("galleries").textContent);
const viewer = document.getElementById("viewer");

function element(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter(Boolean));
  return node;
}

function drawBoxes(frame, item, size, labels) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  svg.setAttribute("preserveAspectRatio", "none");
  // All dark casings go below all colours, so that a prediction does not hide the truth that it sits on.
  const layers = [[item.true, "casing"], [item.predicted, "casing"], [item.true, "is-true"], [item.predicted, "is-predicted"]];
  for (const [boxes, style] of layers) {
    for (const [x1, y1, x2, y2] of boxes) {
      const rect = document.createElementNS(space, "rect");
      rect.setAttribute("x", x1); rect.setAttribute("y", y1);
      rect.setAttribute("width", x2 - x1); rect.setAttribute("height", y2 - y1);
      rect.setAttribute("class", style);
      svg.append(rect);
    }
  }
  frame.append(svg);
  if (!labels) return;
  // Labels live in a second layer whose unit is the screen pixel, so that they keep their size.
  const layer = document.createElementNS(space, "svg");
  for (const [boxes, name] of [[item.true, "is-true"], [item.predicted, "is-predicted"]]) {
    for (const [x1, y1, , y2, label] of boxes) {
      const text = document.createElementNS(space, "text");
      const above = name === "is-true";
      text.setAttribute("x", `${(100 * x1) / size[0]}%`);
      text.setAttribute("y", `${(100 * (above ? y1 : y2)) / size[1]}%`);
      text.setAttribute("dy", above ? "-4" : "14");
      text.setAttribute("class", name);
      text.textContent = label;
      layer.append(text);
    }
  }
  frame.append(layer);
}

// Cards take the shape of the middle picture, within reason; others are fitted in.
function cardAspect(gallery) {
  const shapes = gallery.pictures.map(({ size }) => size[0] / size[1]).sort((a, b) => a - b);
  return Math.min(1.6, Math.max(0.8, shapes[Math.floor(shapes.length / 2)] ?? 1));
}

function pictureOf(gallery, item, room) {
  const picture = gallery.pictures[item.picture];
  const holder = element("span", { class: "picture" });
  if (!picture.source) {
    holder.append(element("span", { class: "lost", text: `no picture: ${picture.file}` }));
    return holder;
  }
  const [width, height] = picture.size;
  const frame = element("span", { class: "frame" },
    element("img", { src: picture.source, alt: picture.name, loading: "lazy" }));
  if (room) {
    const scale = Math.min(room[0] / width, room[1] / height);
    frame.style.width = `${width * scale}px`;
    frame.style.height = `${height * scale}px`;
  } else if (width / height >= gallery.aspect) frame.style.width = "100%";
  else { frame.style.height = "100%"; frame.style.aspectRatio = `${width} / ${height}`; }
  drawBoxes(frame, item, picture.size, Boolean(room));
  holder.append(frame);
  return holder;
}

function wordsOf(item, full) {
  const verdict = item.right === null ? "" : item.right ? "right" : "wrong";
  const line = (name, text, style) => element("span", { class: "line" }, element("i", { text: name }),
    element("span", { class: `${style} ${full ? "" : "clamp"}`, text }));
  const words = element("span", { class: "words" },
    element("span", { class: "task", text: item.slice ? `${TASKS[item.task]} · ${item.slice}` : TASKS[item.task] }),
    item.prompt && element("span", { class: "prompt", text: item.prompt }),
    line("model", item.problem ? `unreadable: ${item.problem}` : item.said || "(nothing)", `said ${verdict}`),
    item.truth !== null && line("truth", item.truth, "truth"),
    full && item.raw && line("raw", item.raw, "raw"),
    full && item.notice && line("notice", item.notice, "raw"));
  const reasons = new Map();
  for (const [kind, cause, name] of item.errors) {
    const about = name && name !== item.prompt && item.task !== "answer" ? `: ${name}` : "";
    const reason = reasons.get(kind + cause + about) ?? { kind, text: cause + about, times: 0 };
    reason.times += 1;
    reasons.set(kind + cause + about, reason);
  }
  if (reasons.size) {
    const tags = element("span", { class: "tags" });
    for (const { kind, text, times } of [...reasons.values()].slice(0, full ? undefined : 3)) {
      tags.append(element("span", { class: `kind ${kind}`, text: times > 1 ? `${text} × ${times}` : text }));
    }
    if (!full && reasons.size > 3) tags.append(element("span", { text: `and ${reasons.size - 3} more` }));
    words.append(tags);
  }
  if (full) words.append(element("span", { class: "task", text: item.id }));
  return words;
}

function show(gallery, items, position) {
  const item = items[position];
  const go = (step) => show(gallery, items, (position + step + items.length) % items.length);
  const room = [Math.min(window.innerWidth * 0.94, 940) - 46, window.innerHeight * 0.6];
  viewer.replaceChildren(
    element("div", { class: "viewer-bar" },
      element("button", { text: "←", "aria-label": "Previous", onclick: () => go(-1) }),
      element("button", { text: "→", "aria-label": "Next", onclick: () => go(1) }),
      element("span", { text: `${position + 1} of ${items.length} · ${gallery.pictures[item.picture].name}` }),
      element("button", { text: "Close", onclick: () => viewer.close() })),
    pictureOf(gallery, item, room),
    wordsOf(item, true));
  viewer.onkeydown = (event) => {
    if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
    else return;
    event.preventDefault();
  };
  if (!viewer.open) viewer.showModal();
}
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });

function buildGallery(holder) {
  const gallery = galleries[Number(holder.dataset.run)];
  const wrong = gallery.items.some((item) => item.right === false);
  const filter = { outcome: wrong ? "wrong" : "all", task: "", kind: "", cause: "", text: "" };
  let shown = PAGE;

  const tests = {
    outcome: (item) => filter.outcome === "all" || item.right === (filter.outcome === "right"),
    task: (item) => !filter.task || item.task === filter.task,
    kind: (item) => !filter.kind || item.errors.some(([kind]) => kind === filter.kind),
    cause: (item) => !filter.cause || item.errors.some(([kind, cause]) =>
      cause === filter.cause && (!filter.kind || kind === filter.kind)),
    text: (item) => !filter.text ||
      `${item.id} ${item.prompt} ${item.said} ${item.truth}`.toLowerCase().includes(filter.text),
  };
  // Each control counts what it would show with the other controls as they are.
  const matching = (except) => gallery.items.filter((item) =>
    Object.entries(tests).every(([name, test]) => name === except || test(item)));

  const filters = ["outcome", "task", "kind"].map(() => element("div", { class: "filters", role: "group" }));
  const causes = element("select", { "aria-label": "Cause", onchange: () => choose("cause", causes.value) });
  const search = element("input", {
    type: "search", placeholder: "Search words", "aria-label": "Search words",
    oninput: () => choose("text", search.value.toLowerCase()),
  });
  const count = element("p", { class: "count", "aria-live": "polite" });
  gallery.aspect = cardAspect(gallery);
  const cards = element("div", { class: "cards", style: `--aspect: ${gallery.aspect}` });
  const more = element("button", { class: "more", text: "Show more", onclick: () => { shown += PAGE; render(); } });

  function choose(name, value) {
    filter[name] = value;
    if (name === "kind") filter.cause = "";
    if (name === "kind" && value) filter.outcome = filter.outcome === "right" ? "all" : filter.outcome;
    shown = PAGE;
    render();
  }

  function chips(row, name, choices) {
    const pool = matching(name);
    row.replaceChildren(...choices.map(([value, title, test]) => {
      const size = pool.filter(test).length;
      const chip = element("button", { class: `chip ${name === "kind" && value ? "kind " + value : ""}`,
        "data-filter": name, "data-value": value, "aria-pressed": String(filter[name] === value),
        onclick: () => choose(name, value) }, title, element("small", { text: size.toLocaleString("en") }));
      chip.disabled = size === 0 && filter[name] !== value;
      return chip;
    }));
  }

  function render() {
    const active = document.activeElement?.dataset;
    const focused = active?.filter && holder.contains(document.activeElement)
      ? `[data-filter="${active.filter}"][data-value="${active.value}"]` : null;
    chips(filters[0], "outcome", [
      ["wrong", "Wrong", (item) => item.right === false], ["right", "Right", (item) => item.right === true],
      ["all", "All", () => true]]);
    chips(filters[1], "task", [["", "Every task", () => true], ...Object.entries(TASKS)
      .filter(([task]) => gallery.items.some((item) => item.task === task))
      .map(([task, title]) => [task, title, (item) => item.task === task])]);
    chips(filters[2], "kind", [["", "Every kind", () => true], ...Object.entries(KINDS)
      .filter(([kind]) => gallery.items.some((item) => item.errors.some((error) => error[0] === kind)))
      .map(([kind, title]) => [kind, title, (item) => item.errors.some((error) => error[0] === kind)])]);
    filters[2].hidden = filters[2].childElementCount < 2;

    const found = new Map();
    for (const item of matching("cause")) {
      const own = item.errors.filter(([kind]) => !filter.kind || kind === filter.kind).map((error) => error[1]);
      for (const cause of new Set(own)) found.set(cause, (found.get(cause) ?? 0) + 1);
    }
    causes.replaceChildren(element("option", { value: "", text: "Every cause" }),
      ...[...found].sort((a, b) => b[1] - a[1]).map(([cause, size]) =>
        element("option", { value: cause, text: `${cause} (${size})` })));
    causes.value = filter.cause;
    causes.hidden = found.size === 0;

    const items = matching();
    count.textContent = items.length === 1 ? "1 sample" : `${items.length.toLocaleString("en")} samples`;
    cards.replaceChildren(...items.slice(0, shown).map((item, position) =>
      element("button", { class: "card", "data-id": item.id, onclick: () => show(gallery, items, position) },
        pictureOf(gallery, item), wordsOf(item, false))));
    more.hidden = items.length <= shown;
    if (focused) holder.querySelector(focused)?.focus();
  }

  holder.replaceChildren(...filters, element("div", { class: "filters" }, causes, search), count, cards, more);
  render();
}

document.querySelectorAll(".gallery").forEach(buildGallery);
