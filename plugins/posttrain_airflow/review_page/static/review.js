"use strict";

// Decides by mouse and by keys, and shows what other reviewers decided in the meantime. Row text never passes through here:
// cards come as HTML that the server has escaped.

const data = document.body.dataset;
const message = document.getElementById("message");
const LOOK_EVERY = 3000; // milliseconds between two looks at what others decided
let last = data.last;
let batch = "";

function cards() {
  return [...document.querySelectorAll("article.card")];
}

function current() {
  return document.querySelector("article.card.current");
}

function choose(card, scroll) {
  if (!card) return;
  for (const other of cards()) other.classList.toggle("current", other === card);
  card.focus({ preventScroll: true });
  if (scroll) card.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = cards();
  const place = all.indexOf(current());
  choose(all[Math.min(Math.max(place + by, 0), all.length - 1)], true);
}

function nextOpen(after) {
  const all = cards();
  const rest = all.slice(all.indexOf(after) + 1).concat(all);
  return rest.find((card) => card.dataset.status === "open");
}

// Of a list of open rows those that were decided are gone: what stands behind them comes up into this page.
function nextPage() {
  const link = document.getElementById("next");
  if (link && link.dataset.same && cards().some((card) => card.dataset.status !== "open")) link.href = link.dataset.same;
  return link;
}

function say(text) {
  message.textContent = text;
  message.hidden = !text;
}

function showProgress(progress) {
  const bar = document.getElementById("progress");
  if (!bar) return;
  const decided = progress.rows - progress.open;
  bar.querySelector("progress").value = decided;
  bar.querySelector(".counts").textContent =
    `${decided} of ${progress.rows} decided: ${progress.keep} kept, ${progress.paraphrase} paraphrased, ${progress.delete} deleted`;
}

function replaceCard(id, html) {
  const old = document.getElementById(`item-${id}`);
  if (!old) return null;
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const card = holder.content.querySelector("article");
  card.classList.toggle("current", old.classList.contains("current"));
  old.replaceWith(card);
  return card;
}

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Review-Token": data.token },
    body: JSON.stringify({ run: data.run, ...body }),
  });
  const answer = await response.json().catch(() => ({}));
  if (typeof answer.detail !== "string" && !response.ok) answer.detail = `The server answered with status ${response.status}.`;
  if (answer.progress) showProgress(answer.progress);
  if (answer.went_on) wentOn();
  return { ok: response.ok, answer };
}

function wentOn() {
  const waiting = document.getElementById("waiting");
  if (waiting) waiting.textContent = "The run goes on.";
}

async function decide(card, action, texts) {
  if (card.classList.contains("busy")) return;
  card.classList.add("busy");
  try {
    const { ok, answer } = await post("decide", { item: card.dataset.item, action, seen: card.dataset.seen, ...texts });
    if (!ok) {
      const shown = Object.entries(answer.cards || {}).map(([id, html]) => replaceCard(id, html))[0] || card;
      const problem = shown.querySelector(".problem");
      problem.textContent = answer.detail;
      problem.hidden = false;
      return;
    }
    let changed = card;
    for (const [id, html] of Object.entries(answer.cards)) changed = replaceCard(id, html) || changed;
    const next = action === "undo" ? changed : nextOpen(changed);
    choose(next || changed, true);
    if (!next) nextPage()?.focus(); // Enter goes on
    look();
  } finally {
    card.classList.remove("busy");
  }
}

function openEditor(card) {
  const editor = card.querySelector(".editor");
  if (!editor || card.querySelector('[data-do="paraphrase"]').disabled) return;
  editor.hidden = false;
  editor.querySelector("textarea").focus();
}

function closeEditor(card) {
  card.querySelector(".editor").hidden = true;
  card.focus({ preventScroll: true });
}

function send(editor) {
  const edits = [...editor.querySelectorAll("fieldset")].map((one) => ({
    turn: Number(one.dataset.turn),
    ...Object.fromEntries([...one.querySelectorAll("textarea")].map((text) => [text.name, text.value])),
  }));
  decide(editor.closest("article"), "paraphrase", { edits });
}

function act(card, what) {
  if (what === "paraphrase") openEditor(card);
  else if (what === "close") closeEditor(card);
  else if (!card.querySelector(`[data-do="${what}"]`).disabled) decide(card, what, {});
}

// ---------------------------------------------------------------- bulk

const bulk = document.getElementById("bulk");

function askBulk(action) {
  const ask = document.getElementById("bulk-ask");
  ask.querySelector("strong").textContent = `Really ${action} ${bulk.dataset.open} rows?`;
  ask.dataset.action = action;
  ask.dataset.rows = bulk.dataset.open; // what the reviewer says yes to, should others decide in between
  ask.hidden = false;
  document.getElementById("bulk-yes").focus();
}

async function doBulk() {
  const ask = document.getElementById("bulk-ask");
  ask.hidden = true;
  const { ok, answer } = await post("decide-all", {
    action: ask.dataset.action, expected: Number(ask.dataset.rows), ...filter(),
  });
  if (!ok) {
    say(answer.detail);
    return;
  }
  batch = answer.batch;
  const left = answer.left ? ` ${answer.left} have no suggestion that is clear of the evals and stay open.` : "";
  say(`${answer.rows} rows decided.${left}`);
  document.getElementById("bulk-undo").hidden = false;
  await look();
}

async function undoBulk() {
  const { ok, answer } = await post("undo-all", { batch });
  say(ok ? `${answer.rows} decisions taken back.` : answer.detail);
  document.getElementById("bulk-undo").hidden = true;
  await look();
}

async function goOn(button) {
  if (!button.dataset.sure) {
    button.dataset.sure = "asked";
    button.textContent = `really ${button.dataset.rest} the open rows?`;
    return;
  }
  const { ok, answer } = await post("go-on", { rest: button.dataset.rest });
  if (!ok) say(answer.detail);
}

// ---------------------------------------------------------------- what others do

function filter() {
  return { eval: data.eval || "", source: data.source || "", measure: data.measure || "", judge: data.judge || "",
           low: Number(data.low || 0), high: Number(data.high || 1) };
}

async function look() {
  const items = cards().map((card) => card.dataset.item).join(",");
  const response = await fetch(`changes?${new URLSearchParams({ run: data.run, since: last, items, ...filter() })}`);
  if (!response.ok) return;
  const changes = await response.json();
  last = changes.last;
  if (!changes.progress) return; // nothing new
  showProgress(changes.progress);
  if (bulk) {
    bulk.dataset.open = changes.open;
    document.getElementById("bulk-open").textContent = changes.open;
    for (const button of bulk.querySelectorAll("[data-bulk]")) button.disabled = changes.open === 0;
  }
  for (const [id, html] of Object.entries(changes.cards)) {
    const card = document.getElementById(`item-${id}`);
    const editor = card && card.querySelector(".editor");
    if (card && !card.classList.contains("busy") && !(editor && !editor.hidden)) replaceCard(id, html);
  }
}

// ---------------------------------------------------------------- mouse and keys

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const card = event.target.closest("article.card");
  if (card) choose(card, false);
  if (event.target.id === "next") nextPage();
  if (!button) return;
  if (button.dataset.do) act(card, button.dataset.do);
  else if (button.dataset.bulk) askBulk(button.dataset.bulk);
  else if (button.dataset.rest) goOn(button);
  else if (button.id === "bulk-yes") doBulk();
  else if (button.id === "bulk-no") document.getElementById("bulk-ask").hidden = true;
  else if (button.id === "bulk-undo") undoBulk();
});

document.addEventListener("submit", (event) => {
  if (!event.target.classList.contains("editor")) return;
  event.preventDefault();
  send(event.target);
});

const KEYS = { k: "keep", p: "paraphrase", d: "delete", u: "undo" };

document.addEventListener("keydown", (event) => {
  const editor = event.target.closest(".editor");
  if (editor) {
    if (event.key === "Escape") closeEditor(editor.closest("article"));
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(editor);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    step(event.key === "ArrowDown" ? 1 : -1);
  } else if (KEYS[event.key] && current() && current().querySelector(".buttons")) {
    event.preventDefault();
    act(current(), KEYS[event.key]);
  }
});

choose(cards().find((card) => card.dataset.status === "open") || cards()[0], false);
window.focus(); // inside Airflow's frame, so that the keys arrive here
setInterval(look, LOOK_EVERY);
