// What pages do beside being read: htmx asks with the session's token, a run's log grows, and a sign-in code is taken from the address.
(function () {
  "use strict";
  document.addEventListener("htmx:configRequest", function (event) {
    event.detail.headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf]").content;
  });

  // A link to one change opens it.
  function openLinked() {
    const found = location.hash.startsWith("#change-") && document.getElementById(location.hash.slice(1));
    if (found) found.querySelector("details").open = true;
  }
  window.addEventListener("hashchange", openLinked);
  openLinked();

  // On paper everything is open that is there.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (one) { one.open = true; });
  });

  const byCode = document.getElementById("by-code");
  if (byCode && location.hash.length > 1) {
    byCode.elements.code.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    byCode.submit();
  }

  const standing = document.getElementById("standing");
  const log = document.getElementById("log");
  if (!standing || !log || !("live" in standing.dataset)) return;
  let asked = false, held = false;

  // What somebody is filling in, or about to press, stays as it is.
  function busy() {
    const decide = standing.querySelector(".decide");
    return decide && (decide.contains(document.activeElement) || decide.matches(":hover") ||
      Array.from(decide.querySelectorAll("input[name=comment], input[name=confirmed]")).some(function (one) { return one.value; }));
  }
  function refresh() {
    if (asked) return;
    if (busy()) { held = true; return; }
    asked = true; held = false;
    htmx.ajax("GET", "/runs/" + standing.dataset.run + "?part=standing", { target: standing, swap: "innerHTML" })
      .finally(function () { asked = false; });
  }
  document.addEventListener("focusout", function () { if (held) setTimeout(refresh, 0); });
  document.addEventListener("pointermove", function () { if (held && !busy()) refresh(); });

  function line(data) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const made = document.createElement("span");
    made.className = "line is-" + String(data.level).replace(/[^a-z]/g, "");
    made.textContent = plain(String(data.text));
    log.append(made, "\n");
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  // As the server shows text from outside: nothing that turns the reading direction, or is not seen.
  function plain(text) {
    return text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, "").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}]/gu, function (sign) {
      return sign === "\t" ? " " : "<U+" + sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + ">";
    });
  }
  const settled = ["applied", "unchanged", "rejected", "superseded", "expired", "failed", "canceled", "interrupted"];
  let seen = Number(standing.dataset.seen), whole = ["waiting", "approved", "applying"].includes(standing.dataset.status);
  const source = new EventSource("/api/v1/runs/" + standing.dataset.run + "/events/stream?after=" + seen);
  source.addEventListener("log", function (event) {
    const entry = JSON.parse(event.data);
    if (entry.seq > seen) { seen = entry.seq; line(entry.data); }
  });
  ["step-started", "step-succeeded", "step-failed"].forEach(function (kind) { source.addEventListener(kind, refresh); });
  source.addEventListener("status", function (event) {
    const status = JSON.parse(event.data).data.status;
    if (!whole && ["waiting", "approved"].concat(settled).includes(status)) { location.reload(); return; }  // there is a review now
    refresh();
  });
  source.addEventListener("end", function () { source.close(); refresh(); });
})();
