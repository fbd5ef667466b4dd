"use strict";
// Model text is only ever set as textContent: nothing that a model writes can become markup.

function element(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

// A box is [x1, y1, x2, y2, label, style, score]; style is true, predicted or ignored.
function boxesOf(gallery, item, run) {
  const predicted = item.answers[run]?.predicted ?? [];
  return [
    ...item.true.map((box) => ({ box, style: box[5] ?? "true", truth: true })),
    ...predicted.filter((box) => (box[6] ?? 1) >= gallery.floor).map((box) => ({ box, style: box[5] ?? "predicted" })),
  ];
}

function drawBoxes(frame, boxes, size, labels) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  svg.setAttribute("preserveAspectRatio", "none");
  // All dark casings go below all colours, so that a prediction does not hide the truth that it sits on.
  for (const casing of [true, false]) {
    for (const { box: [x1, y1, x2, y2], style } of boxes) {
      const rect = document.createElementNS(space, "rect");
      rect.setAttribute("x", x1); rect.setAttribute("y", y1);
      rect.setAttribute("width", x2 - x1); rect.setAttribute("height", y2 - y1);
      rect.setAttribute("class", casing ? "casing" : `is-${style}`);
      svg.append(rect);
    }
  }
  frame.append(svg);
  if (!labels) return;
  // Labels live in a second layer whose unit is the screen pixel, so that they keep their size.
  const layer = document.createElementNS(space, "svg");
  for (const { box: [x1, y1, , y2, label], style, truth } of boxes) {
    const text = document.createElementNS(space, "text");
    text.setAttribute("x", `${(100 * x1) / size[0]}%`);
    text.setAttribute("y", `${(100 * (truth ? y1 : y2)) / size[1]}%`);
    text.setAttribute("dy", truth ? "-4" : "14");
    text.setAttribute("class", `is-${style}`);
    text.textContent = label;
    layer.append(text);
  }
  frame.append(layer);
}

// Cards take the shape of the middle picture, within reason; others are fitted in.
function cardAspect(gallery) {
  const shapes = gallery.pictures.map(({ size }) => size[0] / size[1]).sort((a, b) => a - b);
  return Math.min(1.6, Math.max(0.8, shapes[Math.floor(shapes.length / 2)] ?? 1));
}

function pictureOf(gallery, item, run, room) {
  if (item.picture === null) return null;
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
  drawBoxes(frame, boxesOf(gallery, item, run), picture.size, Boolean(room));
  holder.append(frame);
  return holder;
}
