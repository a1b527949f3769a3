// Keeps a page live with one stream. Without this script the page works, but stays as it was when it was loaded.
"use strict";

const main = document.querySelector("main[data-stream]");
const lamp = document.getElementById("live");
// After a response that is no stream, for example of a proxy during a deploy. The browser itself does not retry then.
const RETRY_MS = 5000;
const MOST_RAW = 200000; // characters of events, and of text, that a page keeps

let source = null;
let retry = 0;
let seen = null; // number of the run's last event that the page has

if (main) {
  const answer = document.getElementById("answer");
  seen = answer ? Number(answer.dataset.after) : null;
  lamp.hidden = false;
  document.addEventListener("visibilitychange", turn);
  window.addEventListener("pageshow", turn);
  window.addEventListener("pagehide", close);
  turn();
}

// A hidden page has no stream, so it costs nothing.
function turn() {
  if (document.hidden) close();
  else if (!source) open();
}

function open() {
  clearTimeout(retry);
  show("wait", "connecting");
  source = new EventSource(main.dataset.stream + (seen === null ? "" : `&after=${seen}`));
  source.addEventListener("open", () => show("on", "live"));
  source.addEventListener("error", () => {
    const closed = source && source.readyState === EventSource.CLOSED;
    show("off", "not live");
    if (closed) {
      close();
      retry = setTimeout(turn, RETRY_MS);
    }
  });
  source.addEventListener("parts", (event) => replace(JSON.parse(event.data)));
  source.addEventListener("said", (event) => {
    seen = Number(event.lastEventId);
    add(JSON.parse(event.data));
  });
  source.addEventListener("bye", () => location.reload());
}

function close() {
  clearTimeout(retry);
  if (source) source.close();
  source = null;
}

function show(state, text) {
  if (lamp.dataset.state === state) return;
  lamp.dataset.state = state;
  lamp.textContent = text;
}

function replace(parts) {
  for (const [id, html] of Object.entries(parts)) {
    const old = document.getElementById(id);
    if (!old) continue;
    const fresh = old.cloneNode(false);
    if (id === "notice") fresh.textContent = html; // plain text, not HTML
    else fresh.append(parsed(html));
    morph(old, fresh);
  }
}

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // the server has escaped every value in it
  return template.content;
}

function blank(node) {
  return node.nodeType === Node.TEXT_NODE && !node.nodeValue.trim();
}

// Makes `old` look like `fresh` and touches only what differs, so that focus, selection and open dialogs stay.
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  const wanted = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? known.get(child.id) : null;
    if (same) {
      while (place && place !== same && !wanted.has(place.id)) place = without(place); // moving it would close a dialog
      if (place !== same) old.insertBefore(same, place); // a row that has moved
      place = same;
    }
    while (place && blank(place) && !blank(child)) place = place.nextSibling;
    if (blank(child) && !(place && blank(place))) continue; // a whole page and a live part differ in white space
    if (!place || (!same && place.id && place.id !== child.id)) {
      old.insertBefore(child, place); // a new one
      continue;
    }
    const next = place.nextSibling;
    morph(place, child);
    place = next;
  }
  while (place) place = without(place);
}

// Removes a node and returns the next one.
function without(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function add({ text, steps, raw }) {
  const answer = document.getElementById("answer");
  append(answer, text);
  document.getElementById("timeline").append(parsed(steps));
  append(document.getElementById("raw"), raw.map((line) => line + "\n").join(""));
}

function append(box, text) {
  if (!text) return;
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  box.append(text);
  box.normalize();
  if (box.textContent.length > MOST_RAW) box.textContent = box.textContent.slice(-MOST_RAW / 2);
  if (atEnd) box.scrollTop = box.scrollHeight;
}

// `/` moves the focus to the search, as on many sites.
document.addEventListener("keydown", (event) => {
  const field = document.querySelector("[data-find]");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || !field) return;
  if (event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  field.focus();
});
