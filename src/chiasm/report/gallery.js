const PAGE = 48;
const KINDS = {
  hallucination: "Hallucination", missed_object: "Missed object", wrong_location: "Wrong location",
  wrong_answer: "Wrong answer", wrong_scene: "Wrong scene", unparsed: "Unparsed",
  "at-encoder": "Lost in the encoder", "at-connector": "Lost in the connector",
  "at-language-model": "Lost in the language model", untold: "Can’t tell",
};
const TASKS = { scene: "Scene", caption: "Caption", answer: "Question", detect: "Objects", ground: "Grounding" };
const galleries = JSON.parse(document.getElementById("galleries").textContent);
const viewer = document.getElementById("viewer");

// An error is [kind, cause, name, score]; of a detector, those of boxes below the floor are not shown.
const errorsOf = (gallery, answer) => (answer?.errors ?? []).filter((error) => (error[3] ?? 1) >= gallery.floor);
const rightOf = (gallery, answer) =>
  gallery.detections ? answer && !errorsOf(gallery, answer).length : answer?.right ?? null;

function saidOf(gallery, answer) {
  if (answer.problem) return answer.said ? `${answer.said} (${answer.problem})` : `unreadable: ${answer.problem}`;
  if (!gallery.detections) return answer.said || "(nothing)";
  const shown = answer.predicted.filter((box) => box[6] >= gallery.floor).length;
  return `${shown} of ${answer.predicted.length} boxes`;
}

function wordsOf(gallery, item, run, full) {
  const line = (name, content, style) => element("span", { class: "line" }, element("i", { text: name, title: name }),
    typeof content === "string" ? element("span", { class: `${style} ${full ? "" : "clamp"}`, text: content }) : content);
  const several = gallery.runs.length > 1;
  const about = [TASKS[item.task], ...(item.task ? [item.slices.kind] : Object.values(item.slices))].filter(Boolean);
  const words = element("span", { class: several ? "words several" : "words" },
    about.length > 0 && element("span", { class: "task", text: about.join(" · ") }),
    item.prompt && element("span", { class: "prompt", text: item.prompt }));
  item.answers.forEach((answer, index) => {
    const name = several ? gallery.runs[index] : "model";
    if (!answer) { words.append(line(name, "not asked", "quiet")); return; }
    const right = rightOf(gallery, answer);
    const style = `said ${right === null ? "" : right ? "right" : "wrong"}`;
    const parts = answer.parts && element("span", { class: full ? "" : "clamp" },
      ...answer.parts.map(([text, struck]) => struck ? element("s", { text }) : text));
    words.append(line(name, parts || saidOf(gallery, answer), style));
    if (answer.score !== null && answer.score !== undefined) words.lastChild.append(element("small",
      { class: "score", text: `scores ${answer.score}` }));
    if (full && answer.read) words.append(line("read as", answer.read, "raw"));
    if (full && answer.raw) words.append(line("raw", answer.raw, "raw"));
    if (full && answer.notice) words.append(line("notice", answer.notice, "raw"));
  });
  if (item.truth !== null) words.append(line("truth", item.truth, "truth"));
  const tags = tagsOf(gallery, item, run, full);
  if (tags) words.append(tags);
  if (full) words.append(element("span", { class: "task", text: item.id }));
  return words;
}

function tagsOf(gallery, item, run, full) {
  const reasons = new Map();
  for (const [kind, cause, name] of errorsOf(gallery, item.answers[run])) {
    const about = name && name !== item.prompt && item.task !== "answer" ? `: ${name}` : "";
    const reason = reasons.get(kind + cause + about) ?? { kind, text: cause + about, times: 0 };
    reason.times += 1;
    reasons.set(kind + cause + about, reason);
  }
  if (!reasons.size) return null;
  const tags = element("span", { class: "tags" });
  for (const { kind, text, times } of [...reasons.values()].slice(0, full ? undefined : 3)) {
    tags.append(element("span", { class: `kind ${kind}`, text: times > 1 ? `${text} × ${times}` : text }));
  }
  if (!full && reasons.size > 3) tags.append(element("span", { text: `and ${reasons.size - 3} more` }));
  return tags;
}

function show(gallery, items, position, run) {
  const item = items[position];
  const go = (step) => show(gallery, items, (position + step + items.length) % items.length, run);
  const room = [Math.min(window.innerWidth * 0.94, 940) - 46, window.innerHeight * 0.6];
  const name = item.picture === null ? item.id : gallery.pictures[item.picture].name;
  viewer.replaceChildren(
    element("div", { class: "viewer-bar" },
      element("button", { text: "←", "aria-label": "Previous", onclick: () => go(-1) }),
      element("button", { text: "→", "aria-label": "Next", onclick: () => go(1) }),
      element("span", { text: `${position + 1} of ${items.length} · ${name}` }),
      element("button", { text: "Close", onclick: () => viewer.close() })),
    pictureOf(gallery, item, run, room) ?? "",
    wordsOf(gallery, item, run, true));
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
  const filter = { run: 0, outcome: "all", task: "", kind: "", cause: "", slice: "", text: "" };
  const answerOf = (item) => item.answers[filter.run];
  if (gallery.items.some((item) => rightOf(gallery, answerOf(item)) === false)) filter.outcome = "wrong";
  let shown = PAGE;

  const differ = (item) => new Set(item.answers.map((answer) => rightOf(gallery, answer))).size > 1;
  const tests = {
    outcome: (item) => filter.outcome === "all" || (filter.outcome === "differ" ? differ(item)
      : rightOf(gallery, answerOf(item)) === (filter.outcome === "right")),
    task: (item) => !filter.task || item.task === filter.task,
    kind: (item) => !filter.kind || errorsOf(gallery, answerOf(item)).some(([kind]) => kind === filter.kind),
    cause: (item) => !filter.cause || errorsOf(gallery, answerOf(item)).some(([kind, cause]) =>
      cause === filter.cause && (!filter.kind || kind === filter.kind)),
    slice: (item) => !filter.slice || labelsOf(item).includes(filter.slice),
    text: (item) => !filter.text || (item.words ??= searchedWords(item)).includes(filter.text),
  };
  const labelsOf = (item) => Object.entries(item.slices).map(([key, label]) => `${key}: ${label}`);
  const searchedWords = (item) => [item.id, item.prompt, item.truth,
    ...item.answers.flatMap((answer) => [answer?.said, ...(answer?.errors ?? []).map((error) => error[2])])]
    .join(" ").toLowerCase();
  // Each control counts what it would show with the other controls as they are.
  const matching = (except) => gallery.items.filter((item) =>
    Object.entries(tests).every(([name, test]) => name === except || test(item)));

  const filters = ["run", "outcome", "task", "kind"].map(() => element("div", { class: "filters", role: "group" }));
  const causes = element("select", { "aria-label": "Cause", onchange: () => choose("cause", causes.value) });
  const slices = element("select", { "aria-label": "Slice", onchange: () => choose("slice", slices.value) });
  const search = element("input", {
    type: "search", placeholder: "Search words", "aria-label": "Search words",
    oninput: () => choose("text", search.value.toLowerCase()),
  });
  const save = element("button", { class: "chip", text: "CSV", title: "Save what is shown as CSV",
    onclick: () => saveCsv("samples.csv", galleryTable(gallery, matching())) });
  const count = element("p", { class: "count", "aria-live": "polite" });
  gallery.aspect = cardAspect(gallery);
  const cards = element("div", { class: "cards", style: `--aspect: ${gallery.aspect}`, onkeydown: walk });
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
    row.hidden = choices.length < 2;
  }

  function options(select, all, found, chosen) {
    select.replaceChildren(element("option", { value: "", text: all }),
      ...found.map(([value, size]) => element("option", { value, text: `${value} (${size})` })));
    select.value = chosen;
    select.hidden = found.length < 2 && !chosen;
  }

  function counted(items, valuesOf) {
    const found = new Map();
    for (const item of items) for (const value of new Set(valuesOf(item))) found.set(value, (found.get(value) ?? 0) + 1);
    return [...found];
  }

  // Arrow keys go from card to card; Enter opens one.
  function walk(event) {
    const columns = getComputedStyle(cards).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const next = step && cards.children[[...cards.children].indexOf(document.activeElement) + step];
    if (next) { next.focus(); event.preventDefault(); }
  }

  function render() {
    const active = document.activeElement?.dataset;
    const focused = active?.filter && holder.contains(document.activeElement)
      ? `[data-filter="${active.filter}"][data-value="${active.value}"]` : null;
    filters[0].replaceChildren(...gallery.runs.map((name, index) => element("button", { class: "chip",
      "data-filter": "run", "data-value": index, "aria-pressed": String(filter.run === index),
      onclick: () => choose("run", index) }, `Faults of ${name}`)));
    filters[0].hidden = gallery.runs.length < 2;
    const isRight = (item) => rightOf(gallery, answerOf(item));
    chips(filters[1], "outcome", [
      ["wrong", "Wrong", (item) => isRight(item) === false], ["right", "Right", (item) => isRight(item) === true],
      ["all", "All", () => true], ...(gallery.runs.length > 1 ? [["differ", "Models differ", differ]] : [])]);
    filters[1].hidden = gallery.items.every((item) => isRight(item) === null) && gallery.runs.length < 2;
    chips(filters[2], "task", [["", "Every task", () => true], ...Object.entries(TASKS)
      .filter(([task]) => gallery.items.some((item) => item.task === task))
      .map(([task, title]) => [task, title, (item) => item.task === task])]);
    const kindsOf = (item) => errorsOf(gallery, answerOf(item)).map((error) => error[0]);
    const kinds = new Set(gallery.items.flatMap((item) => item.answers.flatMap((answer) => answer?.errors ?? []))
      .map((error) => error[0]));
    chips(filters[3], "kind", [["", "Every kind", () => true], ...Object.entries(KINDS)
      .filter(([kind]) => kinds.has(kind)).map(([kind, title]) => [kind, title, (item) => kindsOf(item).includes(kind)])]);

    const causesOf = (item) => errorsOf(gallery, answerOf(item))
      .filter(([kind]) => !filter.kind || kind === filter.kind).map((error) => error[1]);
    options(causes, "Every cause", counted(matching("cause"), causesOf).sort((a, b) => b[1] - a[1]), filter.cause);
    const labels = gallery.items.some((item) => item.task) ? [] : counted(matching("slice"), labelsOf).sort();
    options(slices, "Every slice", labels, filter.slice);

    const items = matching();
    count.textContent = items.length === 1 ? "1 sample" : `${items.length.toLocaleString("en")} samples`;
    cards.replaceChildren(...items.slice(0, shown).map((item, position) =>
      element("button", { class: "card", "data-id": item.id, onclick: () => show(gallery, items, position, filter.run) },
        pictureOf(gallery, item, filter.run), wordsOf(gallery, item, filter.run, false))));
    more.hidden = items.length <= shown;
    if (focused) holder.querySelector(focused)?.focus();
  }

  const floor = gallery.detections && floorControl(gallery, render);
  holder.replaceChildren(...filters, element("div", { class: "filters" }, causes, slices, search, floor, save), count,
    cards, more);
  render();
}

// A detector gives many boxes of little confidence, which would bury the others.
function floorControl(gallery, render) {
  const label = element("span");
  const input = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: gallery.floor,
    "aria-label": "Least score of the boxes shown", oninput: () => { gallery.floor = Number(input.value); say(); render(); } });
  const say = () => { label.textContent = `boxes scored ${gallery.floor.toFixed(2)} or more`; };
  say();
  return element("label", { class: "floor" }, input, label);
}

function galleryTable(gallery, items) {
  const keys = [...new Set(items.flatMap((item) => Object.keys(item.slices)))];
  const of = (what) => gallery.runs.map((name) => (name ? `${what} ${name}` : what));
  const rows = items.map((item) => [item.id, item.prompt, item.truth, ...keys.map((key) => item.slices[key] ?? ""),
    ...item.answers.map((answer) => (answer ? saidOf(gallery, answer) : "")),
    ...item.answers.map((answer) => ({ true: "right", false: "wrong" })[rightOf(gallery, answer)] ?? ""),
    ...item.answers.map((answer) => errorsOf(gallery, answer).map((error) => error.slice(0, 3).join(": ")).join("; "))]);
  return [["id", "prompt", "truth", ...keys, ...of("said"), ...of("outcome"), ...of("faults")], ...rows];
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, select, textarea") || viewer.open) return;
  document.querySelector(".gallery input[type=search]")?.focus();
  event.preventDefault();
});
