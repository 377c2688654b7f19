// The zone switch: times are UTC from the server; one button turns all of them to the browser's zone and back.
"use strict";

(() => {
  const KEY = "account-opening-zone";
  const button = document.querySelector("button[data-zone]");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!button || !zone || zone === "UTC") return;

  const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
  const name = (date) => {
    const parts = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(date);
    return parts.find((part) => part.type === "timeZoneName").value;
  };

  const isLocal = () => localStorage.getItem(KEY) === "local";
  const show = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      time.dataset.utc ??= time.textContent;
      const date = new Date(time.dateTime);
      time.textContent = isLocal() ? `${local.format(date)} ${name(date)}` : time.dataset.utc;
    }
    button.textContent = isLocal() ? zone : "UTC";
    button.title = isLocal() ? "Show times in UTC" : `Show times in ${zone}`;
  };

  button.addEventListener("click", () => {
    localStorage.setItem(KEY, isLocal() ? "utc" : "local");
    show();
  });
  button.hidden = false;
  show();
})();
