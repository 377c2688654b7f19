// What a page does with a script: the zone switch, and live updates. Without it every page works the same, and stays as it was read.
"use strict";

const KEY = "account-opening-zone";
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });

const nameOf = (date) => {
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(date);
  return parts.find((part) => part.type === "timeZoneName").value;
};

const isLocal = () => zone && zone !== "UTC" && localStorage.getItem(KEY) === "local";

// Times come in UTC from the server; all of them are shown in the browser's zone, or all in UTC.
const showTimes = (within) => {
  for (const time of within.querySelectorAll("time[datetime]")) {
    time.dataset.utc ??= time.textContent;
    const date = new Date(time.dateTime);
    const text = isLocal() ? `${local.format(date)} ${nameOf(date)}` : time.dataset.utc;
    if (time.textContent !== text) time.textContent = text;
  }
};

const zoneSwitch = () => {
  const button = document.querySelector("button[data-zone]");
  if (!button || !zone || zone === "UTC") return;
  const show = () => {
    showTimes(document);
    button.textContent = isLocal() ? zone : "UTC";
    button.title = isLocal() ? "Show times in UTC" : `Show times in ${zone}`;
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, isLocal() ? "utc" : "local");
    show();
  });
  button.hidden = false;
  show();
};

// Live updates: a visible page asks whether what it shows has changed, and replaces the regions that did.
const EVERY = 5000;
const EVERY_AFTER_AN_ACT = 1000;
const AFTER_AN_ACT = 20000;

const policy = window.trustedTypes?.createPolicy("account-opening", { createHTML: (text) => text }) ?? { createHTML: (text) => text };

// A region is left as it is while a person works with it: it holds the focus, a selection, or something that was opened.
const isHeld = (region) => {
  if (region.contains(document.activeElement)) return true;
  if (region.querySelector("details[open], dialog[open]")) return true;
  const selection = getSelection();
  return !!selection && !selection.isCollapsed && selection.containsNode(region, true);
};

// What is the same but for its times' zone and the tokens of its forms is left alone.
const plain = (region) => {
  const copy = region.cloneNode(true);
  for (const time of copy.querySelectorAll("time[data-utc]")) {
    time.textContent = time.dataset.utc;
    delete time.dataset.utc;
  }
  for (const token of copy.querySelectorAll('input[name="form"]')) token.remove();
  return copy;
};

const replace = (region, other) => {
  const next = document.adoptNode(other);
  const places = [...region.querySelectorAll(".scroll")].map((it) => [it.scrollLeft, it.scrollTop]);
  const own = [region.scrollLeft, region.scrollTop];
  showTimes(next);
  region.replaceWith(next);
  [next.scrollLeft, next.scrollTop] = own;
  [...next.querySelectorAll(".scroll")].forEach((it, n) => {
    if (places[n]) [it.scrollLeft, it.scrollTop] = places[n];
  });
};

// Replaces what differs. Returns whether all of it could be replaced.
const update = (page) => {
  let isWhole = true;
  for (const region of document.querySelectorAll("[data-live][id]")) {
    const other = page.getElementById(region.id);
    if (!other || plain(region).isEqualNode(plain(other))) continue;
    if (isHeld(region)) isWhole = false;
    else replace(region, other);
  }
  return isWhole;
};

const live = () => {
  const main = document.querySelector("main[data-live-url]");
  if (!main || !document.querySelector("[data-live][id]")) return;
  const began = Date.now();
  const afterAct = location.hash.startsWith("#done-");
  const headers = { "X-Live": "1" };
  let timer;
  let isAsking = false;

  const look = async () => {
    const answer = await fetch(location.pathname + location.search, { headers });
    if (!answer.ok || answer.redirected) return answer.status < 500;
    const page = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
    const other = page.querySelector("main[data-live-url]");
    if (other && update(page)) main.dataset.seen = other.dataset.seen;
    return false;
  };

  // Returns whether the page is not to ask any more: nobody is signed in.
  const ask = async () => {
    const query = new URLSearchParams({ watch: main.dataset.watch, seen: main.dataset.seen });
    const answer = await fetch(`${main.dataset.liveUrl}?${query}`, { headers });
    if (answer.status === 204) return false;
    return answer.ok ? look() : answer.status < 500;
  };

  const next = () => {
    const isSoon = afterAct && Date.now() - began < AFTER_AN_ACT;
    timer = setTimeout(turn, isSoon ? EVERY_AFTER_AN_ACT : EVERY);
  };

  const turn = async () => {
    clearTimeout(timer);
    if (document.hidden || isAsking) return;
    isAsking = true;
    // Without a network, or with a server that is away, the page asks again.
    const isOver = await ask().catch(() => false);
    isAsking = false;
    if (!isOver) next();
  };

  document.addEventListener("visibilitychange", turn);
  turn();
};

zoneSwitch();
live();
