"use strict";
// The page's life: it asks again and again while somebody looks, and does what is asked for.

(() => {
  const { el } = dom;
  const PAUSE = 3000;
  const PATIENCE = 10000;
  const KEPT = 512;
  const by = (id) => document.getElementById(id);

  let overview = null;
  let refusals = [];
  let last = 0;
  let process = 0;
  let paused = false;
  let timer = 0;
  let lost = null;
  let asking = null;
  const open = new Set();

  // Asks the gateway; what it refuses is an error in its own words.
  async function ask(path, options = {}) {
    const answer = await fetch(path, { cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(PATIENCE), ...options });
    if (answer.status === 401) throw Object.assign(new Error("You are not signed in any more."), { out: true });
    const text = await answer.text();
    const said = answer.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : { error: text.trim() };
    if (!answer.ok) throw Object.assign(new Error([said.error, said.hint].filter(Boolean).join("\n") || said.problems?.join("\n") || words(said.outcome)), { told: true });
    return said;
  }

  const words = (outcome) => String(outcome ?? "It was refused.").replaceAll("_", " ");

  function state(name, text) {
    const link = by("link");
    link.dataset.state = name;
    // It is read out when it changes.
    if (link.textContent !== text) link.textContent = text;
    document.body.classList.toggle("stale", name === "lost" || name === "out");
  }

  async function look() {
    clearTimeout(timer);
    if (asking) return asking;
    asking = once().finally(() => { asking = null; plan(); });
    return asking;
  }

  function plan() {
    clearTimeout(timer);
    if (!document.hidden && !paused && by("link").dataset.state !== "out") timer = setTimeout(look, PAUSE);
  }

  async function once() {
    try {
      let news = await ask(`/overview?after=${last}`);
      if (process !== 0 && process !== news.status.process) {
        // Another process counts from one.
        [refusals, last] = [[], 0];
        news = await ask("/overview");
      }
      take(news);
      lost = null;
      state(paused ? "paused" : "live", paused ? "paused" : "live");
    } catch (why) {
      lost ??= new Date();
      if (why.out) state("out", "signed out: load the page again");
      else state("lost", `connection lost at ${lost.toLocaleTimeString()}, trying again`);
    }
  }

  function take(news) {
    process = news.status.process;
    const fresh = news.refusals.refusals.filter((it) => it.number > last);
    refusals = [...fresh, ...refusals].slice(0, KEPT);
    last = news.refusals.last;
    overview = news;
    dom.clock(news.now);
    draw();
  }

  function draw() {
    if (!overview) return;
    by("main").hidden = false;
    by("host").textContent = overview.host;
    document.title = `${overview.host} · n8n-gateway`;
    views.attention(overview);
    views.figures(overview);
    views.refusals(refusals, by("filter").value, open);
    views.bans(overview, open, lift);
    views.signIns(overview, open);
    views.limits(overview, open);
    views.webhooks(overview, open);
    views.sessions(overview, open, end);
    views.windows(overview, close);
    views.aside(overview);
    dom.tick();
  }

  // Says what was done, to eyes and ears.
  function tell(text) {
    by("told").textContent = text;
    clearTimeout(tell.timer);
    tell.timer = setTimeout(() => { by("told").textContent = ""; }, 8000);
  }

  // Asks before something is done, and does it. `home` gets the focus if what was pressed is gone.
  function propose({ title, body, verb, home, act }) {
    const dialog = by("dialog");
    const pressed = document.activeElement;
    by("dialog-title").textContent = title;
    by("dialog-body").replaceChildren(...body);
    by("dialog-do").textContent = verb;
    by("dialog-complaint").textContent = "";
    by("dialog-form").onsubmit = async (event) => {
      event.preventDefault();
      by("dialog-do").disabled = true;
      try {
        const done = await act(new FormData(event.target));
        dialog.close();
        tell(done);
        // An answer that was on its way does not know of it yet.
        if (asking) await asking;
        await look();
        (pressed?.isConnected ? pressed : by(home)).focus();
      } catch (why) {
        by("dialog-complaint").textContent = why.message;
      } finally {
        by("dialog-do").disabled = false;
      }
    };
    dialog.showModal();
  }

  const field = (label, name, attributes) => el("label", {}, label, el("input", { name, spellcheck: "false", autocomplete: "off", ...attributes }));
  const reason = () => field("Reason, for the log", "reason", { maxlength: 200, autofocus: true });
  const because = (form) => `reason=${encodeURIComponent(form.get("reason"))}`;

  function lift(ban) {
    const who = views.net(ban.net);
    propose({
      title: `Lift the ban of ${who}?`,
      body: [el("p", {}, "What is held against it is forgotten."), reason()],
      verb: "Lift the ban",
      home: "bans-title",
      async act(form) {
        await ask(`/bans/${encodeURIComponent(ban.net)}?${because(form)}`, { method: "DELETE" });
        return `${who} is let in.`;
      },
    });
  }

  function end(session) {
    propose({
      title: "End this session?",
      body: [el("p", {}, `The user ${session.user} has to sign in to n8n again.`), reason()],
      verb: "End the session",
      home: "sessions-title",
      async act(form) {
        await ask(`/sessions/${encodeURIComponent(session.id)}?${because(form)}`, { method: "DELETE" });
        return "The session is over.";
      },
    });
  }

  function close(it) {
    propose({
      title: `Close the window for ${views.net(it.net)}?`,
      body: [el("p", {}, `Tunnels that it let into ${it.surface} are closed.`)],
      verb: "Close the window",
      home: "windows-title",
      async act() {
        await ask(`/windows/${it.id}`, { method: "DELETE" });
        return "The window is closed.";
      },
    });
  }

  function openWindow() {
    const surfaces = overview.surfaces.map((name) => el("option", { value: name, selected: name === "webhook-test" }, name));
    const times = [["900", "15 minutes"], ["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"]].map(([value, text]) => el("option", { value }, text));
    propose({
      title: "Let somebody in for a time",
      body: [
        field("Address or network", "net", { required: true, autofocus: true, autocapitalize: "none" }),
        el("label", {}, "Into", el("select", { name: "surface" }, surfaces)),
        el("label", {}, "For", el("select", { name: "seconds" }, times)),
        field("Reason, for the log", "reason", { maxlength: 200 }),
      ],
      verb: "Open the window",
      home: "open",
      async act(form) {
        const wanted = { surface: form.get("surface"), net: form.get("net").trim(), seconds: Number(form.get("seconds")), reason: form.get("reason") };
        await ask("/windows", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(wanted) });
        return `${wanted.net} is let into ${wanted.surface}.`;
      },
    });
  }

  function reload() {
    propose({
      title: "Read the policy again?",
      body: [el("p", {}, "If it has a problem, nothing changes and the problem is told.")],
      verb: "Reload",
      home: "policy-title",
      async act() {
        const { outcome, revision } = await ask("/reload", { method: "POST" });
        return `The policy: ${words(outcome)}, revision ${revision} is in force.`;
      },
    });
  }

  async function why(event) {
    event.preventDefault();
    const asked = by("asked").value.trim();
    const place = by("because");
    try {
      const answer = await ask(`/bans/${encodeURIComponent(asked)}`);
      const known = refusals.find((it) => it.request_id === asked.toLowerCase());
      const told = known && el("p", {}, `The request was refused: ${known.reason}${known.rule ? `, ${known.rule}` : ""}.`);
      place.replaceChildren(...[told, ...views.why(answer)].flat().filter(Boolean));
    } catch (error) {
      place.replaceChildren(el("p.warning", {}, error.message));
    }
  }

  by("filter").addEventListener("input", draw);
  by("why").addEventListener("submit", why);
  by("open").addEventListener("click", () => overview && openWindow());
  by("reload").addEventListener("click", reload);
  by("dialog-cancel").addEventListener("click", () => by("dialog").close());
  by("pause").addEventListener("click", () => {
    paused = !paused;
    by("pause").setAttribute("aria-pressed", String(paused));
    if (paused) state("paused", "paused");
    if (paused) clearTimeout(timer);
    else look();
  });
  document.addEventListener("redraw", draw);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : paused || look()));
  setInterval(() => document.hidden || dom.tick(), 1000);
  look();
})();
