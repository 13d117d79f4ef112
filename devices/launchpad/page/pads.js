// The page of devices/launchpad/emulator_page.py: cells from /lights, presses to /touch.
"use strict";

const pads = document.getElementById("pads");
const state = document.getElementById("state");
const cells = new Map(); // index: its element
const fingers = new Map(); // pointer: {index, y, value}
const latched = new Set();
const VELOCITY = 100;
let token = null;
let queue = Promise.resolve(); // one request after another, so that a release follows its press

function touch(what, index, value) {
  const sent = { token: token, do: what, index: index, value: value };
  const ask = () => fetch("/touch", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(sent),
  }).catch(() => {});
  queue = queue.then(ask);
}

function down(index) {
  cells.get(index).classList.add("down");
  touch("press", index, VELOCITY);
}

function up(index) {
  if (latched.has(index) || [...fingers.values()].some((f) => f.index === index)) return;
  cells.get(index).classList.remove("down");
  touch("release", index, 0);
}

function lift(pointer) {
  const finger = fingers.get(pointer);
  if (finger === undefined) return;
  fingers.delete(pointer);
  up(finger.index);
}

function listen(cell, index) {
  cell.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    cell.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { index: index, y: event.clientY, value: -1 });
    down(index);
  });
  cell.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (finger === undefined) return;
    const height = cell.getBoundingClientRect().height;
    const value = Math.max(0, Math.min(127, Math.round(64 + (64 * (finger.y - event.clientY)) / height)));
    if (Math.abs(value - finger.value) < 4 && value !== 127 && value !== 0) return;
    if (value === finger.value) return;
    finger.value = value;
    touch("pressure", index, value);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    cell.addEventListener(end, (event) => lift(event.pointerId));
  }
  cell.addEventListener("keydown", (event) => {
    if (event.repeat || (event.key !== " " && event.key !== "Enter")) return;
    event.preventDefault();
    fingers.set(event.key, { index: index, y: 0, value: -1 });
    down(index);
  });
  cell.addEventListener("keyup", (event) => lift(event.key));
  cell.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    cell.classList.toggle("latched", !latched.has(index));
    if (latched.delete(index)) up(index);
    else {
      latched.add(index);
      down(index);
    }
  });
}

function build(list) {
  pads.replaceChildren();
  cells.clear();
  fingers.clear();
  latched.clear();
  for (const told of list) {
    const cell = document.createElement("button");
    cell.type = "button";
    cell.className = told.kind;
    cell.textContent = told.label;
    cell.dataset.index = told.index;
    cell.setAttribute("aria-label", `${told.label} ${told.index}`);
    cell.style.gridColumn = told.column + 1;
    cell.style.gridRow = told.row + 1;
    cells.set(told.index, cell);
    if (told.kind !== "logo") listen(cell, told.index);
    pads.append(cell);
  }
}

function light(lit) {
  for (const [index, colour] of Object.entries(lit)) {
    const cell = cells.get(Number(index));
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    cell.style.background = colour;
    cell.dataset.colour = colour;
    cell.classList.toggle("bright", 0.3 * r + 0.6 * g + 0.1 * b > 100);
  }
}

const lights = new EventSource("/lights");
lights.onmessage = (event) => {
  const told = JSON.parse(event.data);
  if (told.token !== undefined) {
    token = told.token;
    build(told.cells);
    pads.classList.remove("gone");
    state.textContent = "connected";
  }
  if (told.lit !== undefined) light(told.lit);
};
lights.onerror = () => {
  pads.classList.add("gone");
  state.textContent = "the emulator does not answer; waiting for it";
};
window.addEventListener("blur", () => {
  for (const pointer of [...fingers.keys()]) lift(pointer);
});
