// What the page does beside htmx: local times, running clocks, and care for what a person is doing while parts change.
// Without it every form and link still works.
(function () {
  "use strict";
  var byId = function (id) { return document.getElementById(id); };
  document.documentElement.classList.add("js");

  // Times stand in UTC in the HTML; here they become local.
  function localTimes(root) {
    root.querySelectorAll("time[data-local]").forEach(function (time) {
      var at = new Date(time.getAttribute("datetime"));
      if (isNaN(at)) return;
      var today = at.toDateString() === new Date().toDateString();
      time.title = time.textContent;
      time.textContent = today
        ? at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" })
        : at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
      time.removeAttribute("data-local");
    });
  }

  function duration(seconds) {
    var whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return whole + " s";
    var two = function (number) { return String(number).padStart(2, "0"); };
    var minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
    return hours ? hours + ":" + two(minutes % 60) + ":" + two(whole % 60) : minutes + ":" + two(whole % 60);
  }

  function tick() {
    document.querySelectorAll("[data-since]").forEach(function (clock) {
      var words = duration(Date.now() / 1000 - Number(clock.getAttribute("data-since")));
      if (clock.textContent !== words) clock.textContent = words;
    });
  }

  localTimes(document);
  setInterval(tick, 1000);

  var run = byId("run");
  if (!run || !window.htmx) return;
  var part = function (name) { return byId("part-" + name); };
  var names = ["status", "review", "graph", "timeline", "money", "artifacts", "evidence"];

  function refresh(some) {
    some.forEach(function (name) { if (part(name)) htmx.trigger(part(name), "refresh"); });
  }

  // A person who writes is not interrupted: the part stays as it is, and says that there is something new.
  function isWriting(section) {
    return Array.prototype.some.call(section.querySelectorAll("textarea, input:not([type=hidden]), select"), function (field) {
      if (field.tagName === "SELECT") return field === document.activeElement;
      if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
      return field.value.replace(/\r\n/g, "\n") !== field.defaultValue.replace(/\r\n/g, "\n") || field === document.activeElement;
    });
  }

  // htmx:config is read once; whoever is open before a swap is open after it.
  var open = {};
  document.body.addEventListener("htmx:beforeSwap", function (event) {
    var section = event.detail.target;
    if (!section.classList.contains("part") || !event.detail.shouldSwap) return;
    if (!section.hasAttribute("data-drop") && isWriting(section)) {
      event.detail.shouldSwap = false;
      var note = section.querySelector(".changed");
      if (note) note.hidden = false;
      return;
    }
    section.removeAttribute("data-drop");
    open[section.id] = {};
    section.querySelectorAll("details[id]").forEach(function (details) {
      open[section.id][details.id] = details.open;
    });
    section.querySelectorAll("[role=region][aria-label]").forEach(function (box) {
      open[section.id]["scroll " + box.getAttribute("aria-label")] = [box.scrollLeft, box.scrollTop];
    });
  });

  document.body.addEventListener("htmx:afterSwap", function (event) {
    var section = event.detail.target;
    localTimes(section);
    var was = open[section.id] || {};
    section.querySelectorAll("details[id]").forEach(function (details) {
      if (details.id in was) details.open = was[details.id];
    });
    section.querySelectorAll("[role=region][aria-label]").forEach(function (box) {
      var at = was["scroll " + box.getAttribute("aria-label")];
      if (at) { box.scrollLeft = at[0]; box.scrollTop = at[1]; }
    });
    announce();
  });

  document.body.addEventListener("click", function (event) {
    var button = event.target.closest("[data-show-new]");
    if (!button) return;
    var section = button.closest(".part");
    section.setAttribute("data-drop", "");
    htmx.trigger(section, "refresh");
  });

  // Read out once, when it is another: a part that is swapped whole would be read whole.
  function announce() {
    var head = document.querySelector("[data-announce]"), words = head ? head.getAttribute("data-announce") : "";
    if (byId("announcer").textContent !== words) byId("announcer").textContent = words;
  }

  function live(words, state) {
    byId("live").hidden = false;
    byId("live").className = "live " + state;
    byId("live-words").textContent = words;
  }

  live("connecting", "off");
  // Between the page's making and the stream's opening something may have happened, and while it was broken too.
  document.body.addEventListener("htmx:sseOpen", function () { live("live", "on"); refresh(names); });
  document.body.addEventListener("htmx:sseError", function () { live("reconnecting", "off"); });

  var trouble = byId("trouble");
  document.body.addEventListener("htmx:afterRequest", function (event) {
    var status = event.detail.xhr ? event.detail.xhr.status : 0;
    if (status >= 200 && status < 400) { trouble.hidden = true; return; }
    trouble.textContent = status === 401 || status === 403
      ? "You are signed out. Load the page again to sign in; what you have written here is not lost until you do."
      : "The server does not answer. The page shows the last that it heard, and tries again.";
    trouble.hidden = false;
  });

  // Clocks and signs of life go on without events.
  setInterval(function () {
    if (document.visibilityState === "visible" && document.querySelector("[data-is-running]")) refresh(["graph"]);
  }, 15000);
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "visible") refresh(names);
  });
})();
