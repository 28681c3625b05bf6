// What pages do beside being read: htmx asks with the session's token, a run goes on before one's eyes, and a sign-in code is taken from
// the address. Everything works without it.
(function () {
  "use strict";
  document.addEventListener("htmx:configRequest", function (event) {
    event.detail.headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf]").content;
  });
  function notThere(event) {
    const made = document.createElement("p");
    made.className = "risk";
    made.textContent = "This cannot be loaded now" + (event.detail.xhr.status ? " (" + event.detail.xhr.status + ")." : ".");
    event.detail.target.append(made);
  }
  document.addEventListener("htmx:responseError", notThere);
  document.addEventListener("htmx:sendError", notThere);

  const verdict = document.querySelector("#verdict[data-run]");
  const address = verdict && "/runs/" + verdict.dataset.run;

  // A link to one change opens it, also where the change is not among those that are shown.
  function openLinked() {
    if (!/^#change-\d+$/.test(location.hash)) return;
    const found = document.getElementById(location.hash.slice(1));
    const details = found && found.querySelector("details");
    if (details) { details.open = true; found.scrollIntoView(); }
    else if (!found && address) location.replace(address + "/changes/" + location.hash.slice("#change-".length));
  }
  window.addEventListener("hashchange", openLinked);
  document.addEventListener("DOMContentLoaded", openLinked);

  // On paper everything is open that is there.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (one) { one.open = true; });
  });

  const all = document.getElementById("choose-all");
  if (all) {
    all.hidden = false;
    all.addEventListener("change", function () {
      document.querySelectorAll("input[name=tenants]:not(:disabled)").forEach(function (one) { one.checked = all.checked; });
    });
  }

  const byCode = document.getElementById("by-code");
  if (byCode && location.hash.length > 1) {
    byCode.elements.code.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    byCode.submit();
  }

  const log = document.getElementById("log"), decision = document.getElementById("decision");
  if (!verdict || !log || !("live" in verdict.dataset)) return;
  log.scrollTop = log.scrollHeight;

  // What somebody is filling in, or about to press, stays as it is; what is below what grows stays where it is.
  function busy(place) {
    return place.contains(document.activeElement) || place.matches(":hover") ||
      Array.from(place.querySelectorAll("textarea, input[name=confirmed]")).some(function (one) { return one.value !== one.defaultValue; });
  }
  const waiting = new Map();  // places that are asked for, and whether once more
  function refresh(place, part) {
    if (waiting.has(place)) { waiting.set(place, true); return; }
    waiting.set(place, false);
    htmx.ajax("GET", address + "?part=" + part, { target: place, swap: "innerHTML" }).finally(function () {
      const again = waiting.get(place);
      waiting.delete(place);
      if (again) refresh(place, part);
    });
  }
  const below = document.querySelector(".review");
  let top = 0;
  verdict.addEventListener("htmx:beforeSwap", function () { top = below.getBoundingClientRect().top; });
  verdict.addEventListener("htmx:afterSwap", function () {
    if (window.scrollY > 0 || busy(below)) window.scrollBy(0, below.getBoundingClientRect().top - top);
  });
  function moved() { document.getElementById("moved").hidden = false; }

  function line(data) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const made = document.createElement("span");
    made.className = "line is-" + String(data.level).replace(/[^a-z]/g, "");
    made.textContent = plain(String(data.text));
    log.append(made, "\n");
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  // As the server shows text from outside: nothing that turns the reading direction, or is not seen.
  const instead = { "\n": "⏎", "\r": "", "\t": " " };
  function plain(text) {
    return text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, "").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, function (sign) {
      return instead[sign] ?? "<U+" + sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + ">";
    });
  }

  const reviewed = "reviewed" in verdict.dataset, begins = ["pending", "planning"];
  function status(now) {
    if (now === verdict.dataset.status) return;
    verdict.dataset.status = now;
    refresh(verdict, "verdict");
    if (reviewed === begins.includes(now)) {  // what the page shows is another's plan now, or there is a plan to show
      if (reviewed || busy(decision)) moved(); else location.reload();
    } else if (busy(decision)) moved();
    else refresh(decision, "decision");
  }
  let seen = Number(verdict.dataset.seen), pause = 1000;
  function listen() {
    const source = new EventSource("/api/v1" + address + "/events/stream?after=" + seen);
    function on(kind, act) {
      source.addEventListener(kind, function (event) {
        const entry = JSON.parse(event.data);
        pause = 1000;
        if (entry.seq > seen) { seen = entry.seq; act(entry.data); }
      });
    }
    on("log", line);
    ["step-started", "step-succeeded", "step-failed"].forEach(function (kind) {
      on(kind, function () { refresh(verdict, "verdict"); });
    });
    on("status", function (data) { status(data.status); });
    source.addEventListener("end", function () { source.close(); });
    source.addEventListener("error", function () {
      if (source.readyState !== EventSource.CLOSED) return;  // the browser asks again by itself
      setTimeout(listen, pause);  // a proxy answered in the server's place
      pause = Math.min(2 * pause, 30000);
    });
  }
  listen();
})();
