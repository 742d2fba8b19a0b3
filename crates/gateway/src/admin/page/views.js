"use strict";
// One function for each part of the page: what the gateway says becomes what is seen, in the words of
// the commands.

const views = (() => {
  const { el, keyed, fill, row, cell, table, span, when } = dom;

  const badge = (text, kind) => el(`span.badge.${kind}`, {}, text);
  const mono = (text) => el("span.mono", {}, text);
  const quiet = (...inside) => el("span.quiet", {}, ...inside);
  const many = (count, one, more = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
  const entry = (term, ...inside) => el("div", {}, el("dt", {}, term), el("dd", {}, ...inside));
  // fail2ban's way: a single address without its length.
  const net = (text) => text.replace(/^(\d[\d.]+)\/32$|^(.+)\/128$/, "$1$2");
  const words = (name) => name.replaceAll("_", " ");

  // What somebody should do something about, the worst first.
  function alarms({ status, dry_run: dryRun }) {
    const all = [];
    const say = (kind, text, more) => all.push({ kind, text, more });
    for (const it of status.n8n.filter((it) => !it.up)) {
      const shut = it.circuit === "closed" ? "" : ", requests are refused at once";
      say("bad", `n8n at ${it.url} is down${shut}`);
    }
    if (status.n8n_unclaimed) say("bad", "n8n has no owner: whoever opens /setup first owns it");
    for (const it of status.certificates) {
      if (it.warnings.length > 0) say(it.state === "valid" ? "warn" : "bad", `The certificate of ${it.host}: ${it.warnings.join("; ")}`);
    }
    if (status.policy.problems.length > 0) say("bad", `The last reload changed nothing (${words(status.policy.last_reload)})`, status.policy.problems);
    if (status.audit?.alarming) say("warn", `The audit of n8n has found something: ${status.audit.found.slice(0, 3).map((it) => it.title).join("; ")}`);
    for (const warning of status.hardening.warnings) say("warn", `Hardening: ${warning}`);
    if (dryRun) say("warn", "Dry run: everything is decided and told, nothing is refused");
    return [...all.filter((it) => it.kind === "bad"), ...all.filter((it) => it.kind !== "bad")];
  }

  function attention(overview) {
    const all = alarms(overview);
    const place = document.getElementById("attention");
    place.hidden = all.length === 0;
    fill(place, all, () => all.map((it) => el(`div.alarm.${it.kind}`, {}, badge(it.kind === "bad" ? "alarm" : "look", it.kind),
      el("div", {}, el("p", {}, it.text), (it.more ?? []).map((text) => el("pre", {}, text))))));
  }

  function figures({ status, bans }) {
    const { n8n, policy, certificates, connections } = status;
    const up = n8n.filter((it) => it.up).length;
    const ends = Math.min(...certificates.map((it) => it.not_after));
    const rows = [
      ["n8n", up === n8n.length ? "up" : up === 0 ? "down" : `${up} of ${n8n.length} up`, up === n8n.length ? "good" : "bad"],
      ["Refused in 5 min", status.refused_in_the_last_5_minutes.toLocaleString("en")],
      ["Banned", bans.all.toLocaleString("en")],
      ["Connections", connections.toLocaleString("en")],
      ["Certificates", certificates.length > 0 ? when(ends, "left") : "none", certificates.some((it) => it.warnings.length > 0) ? "warn" : undefined],
      ["Policy", `revision ${policy.revision}`, policy.problems.length > 0 ? "bad" : undefined],
    ];
    const about = rows.map(([name, value, kind]) => [name, value.textContent ?? value, kind]);
    fill(document.getElementById("figures"), about, () => rows.map(([name, value, kind]) => el(`div${kind ? `.${kind}` : ""}`, {}, el("dt", {}, name), el("dd", {}, value))));
  }

  // What a stranger has made long is shown whole to whoever opens it.
  function request(text) {
    if (text.length <= 140) return mono(text);
    return el("details.mono", {}, el("summary", {}, `${text.slice(0, 110)}…`), text);
  }

  function refusals(all, filter, open) {
    const asked = filter.trim().toLowerCase();
    const said = (it) => `${it.client} ${it.request_id} ${it.method} ${it.path} ${it.surface ?? ""} ${it.reason} ${it.rule ?? ""} ${it.status}`.toLowerCase();
    const fit = asked === "" ? all : all.filter((it) => said(it).includes(asked));
    const none = asked === "" ? "No request was refused since the start." : `None of the last ${all.length} refusals fits.`;
    table("refusals", fit, (it) => String(it.number), (it) => row(
      cell("Time", {}, when(it.at)),
      cell("Client", {}, mono(it.client)),
      cell("Request", { class: "long" }, request(`${it.method} ${it.path}`), quiet(` ${it.surface ?? "no surface"}`)),
      cell("Why", {}, badge(it.reason, it.dry_run ? "warn" : "bad"), quiet([it.dry_run ? "let pass" : it.status, it.rule].filter(Boolean).join(", "))),
      cell("Id", {}, el("span.mono.quiet", {}, it.request_id)),
    ), { none, open });
  }

  function offences(list) {
    const counts = new Map();
    for (const it of list) {
      const name = it.surface ? `${words(it.offence)} (${it.surface})` : words(it.offence);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return Array.from(counts, ([name, count]) => count > 1 ? `${count} × ${name}` : name).join(", ");
  }

  function details(list) {
    return el("details", {}, el("summary", {}, many(list.length, "offence")), el("ul.plain", {}, list.map((it) => el("li", {},
      when(it.at), ` ${words(it.offence)}`, it.surface && ` on ${it.surface}`, it.request_id && el("span.mono.quiet", {}, ` ${it.request_id}`)))));
  }

  function bans({ bans: { all, rows } }, open, lift) {
    table("bans", rows, (it) => it.net, (it) => row(
      cell("Who", {}, mono(net(it.net))),
      cell("Jail", {}, it.jail, quiet([it.because && ` for ${it.because}`, it.nth > 1 && ` ban ${it.nth}`].filter(Boolean).join(","))),
      cell("Ends", {}, when(it.until, "left")),
      cell("For what", { class: "long" }, it.by && el("p", {}, `by ${it.by}`, it.why && `: ${it.why}`), it.offences.length > 0 && [el("p", {}, offences(it.offences)), details(it.offences)]),
      cell("", { class: "do" }, el("button", { type: "button", "data-focus": "lift", "aria-label": `Lift the ban of ${net(it.net)}`, click: () => lift(it) }, "Lift")),
    ), { all, none: "Nobody is banned.", open });
  }

  function why(answer) {
    const { asked, banned, held, exempt } = answer;
    return [
      el("p", {}, el("strong", {}, asked), banned ? [" is banned: ", mono(net(banned.net)), ` by jail ${banned.jail}, `, when(banned.until, "left")] : " is not banned."),
      exempt && el("p", {}, `It cannot be banned: ${exempt}.`),
      banned?.offences.length > 0 && details(banned.offences),
      held.length > 0 && el("p", {}, `Held against it without a ban: ${offences(held)}.`),
    ];
  }

  function signIns({ sign_ins: { all, rows } }, open) {
    table("sign-ins", rows, (it) => `${it.request_id} ${it.because ?? ""}`, (it) => row(
      cell("Time", {}, when(it.at)),
      cell("Client", {}, mono(it.client)),
      cell("Outcome", {}, it.succeeded ? badge("signed in", "good") : badge(words(it.because), "bad"),
        quiet([it.known ? "known" : "not seen before", it.attempt && it.attempt !== "sign_in" && words(it.attempt), it.jail && `${it.count} in jail ${it.jail}`].filter(Boolean).join(", "))),
      cell("Account", {}, it.account ? el("span.mono.quiet", { title: "a keyed hash of the address" }, it.account) : quiet("none")),
      cell("Id", {}, el("span.mono.quiet", {}, it.request_id)),
    ), { all, most: 8, none: "Nobody has tried to sign in since the start.", open });
  }

  function limits({ limits: { all, rows } }, open) {
    table("limits", rows, (it) => `${it.limit} ${it.whose}`, (it) => row(
      cell("Limit", {}, it.limit, quiet(` ${it.quota}`)),
      cell("Whose", { class: "long" }, mono(it.whose)),
      cell("Used", {}, el("progress", { max: it.burst, value: it.used, "aria-label": `${it.used} of ${it.burst}` }), quiet(` ${it.used} of ${it.burst}`)),
      cell("Refused", {}, it.refused > 0 ? badge(it.refused.toLocaleString("en"), "bad") : quiet("none")),
    ), { all, most: 8, none: "Nobody is near the edge of a limit.", open });
  }

  function webhooks({ webhooks: { all, rows } }, open) {
    table("webhooks", rows, (it) => it.path, (it) => row(
      cell("Path", { class: "long" }, mono(it.path)),
      cell("Checked", {}, it.signed ? badge("signed", "good") : quiet("not checked")),
      cell("Calls", {}, it.calls.toLocaleString("en"), quiet(` from ${many(it.networks.length, "network")}`)),
      cell("Answers", {}, Object.entries(it.answers).map(([kind, count]) => `${count.toLocaleString("en")} × ${kind}`).join(", ")),
      cell("Last", {}, when(Date.parse(it.last) / 1000, "ago")),
    ), { all, most: 8, none: "No webhook, form or MCP trigger was called yet.", open });
  }

  function sessions({ sessions: found }, open, end) {
    const none = found ? "Nobody is signed in." : "Sessions are not followed. Write “accounts: { sessions: {} }” into the policy.";
    table("sessions", found?.rows ?? [], (it) => it.id, (it) => row(
      cell("User", { class: "long" }, mono(it.user)),
      cell("Used", {}, when(it.seen, "ago")),
      cell("From", { class: "long" }, mono(it.address), it.places.length > 1 && quiet(` ${it.places.length} networks`)),
      cell("Since", {}, when(it.since)),
      cell("", { class: "do" }, el("button", { type: "button", "data-focus": "end", "aria-label": `End the session ${it.id} of ${it.user}`, click: () => end(it) }, "End")),
    ), { all: found?.all ?? 0, most: 8, none, open });
  }

  function windows({ status: { windows: all } }, close) {
    const place = document.getElementById("windows");
    // What changes each second is not told by the row but by its time.
    const rows = all.map(({ seconds_left: _, ...it }) => it);
    keyed(place, rows.length > 0 ? rows : [{ id: 0 }], (it) => String(it.id), (it) => it.id === 0 ? el("li.quiet", {}, "Nothing is open.") : el("li", {},
      el("div", {}, el("p", {}, mono(net(it.net)), " into ", el("strong", {}, it.surface)), el("p.quiet", {}, when(Date.parse(it.until) / 1000, "left"), ` by ${it.by}`, it.why && `: ${it.why}`), it.warning && el("p.warning", {}, it.warning)),
      el("button", { type: "button", "data-focus": "close", "aria-label": `Close the window for ${net(it.net)} into ${it.surface}`, click: () => close(it) }, "Close")));
  }

  function certificate(it) {
    const kind = it.warnings.length === 0 ? "good" : it.state === "valid" ? "warn" : "bad";
    const left = it.state === "valid" ? when(it.not_after, "left") : el("span", {}, it.state);
    const next = it.renewal && el("p.quiet", {}, ...(it.renewal.at > dom.now() ? ["renewed ", when(it.renewal.at, "in")] : ["its renewal was due ", when(it.renewal.at, "ago")]));
    const again = it.next_attempt && el("p.quiet", {}, "tried again ", when(it.next_attempt, "in"));
    return entry(it.host, el(`p.${kind}-text`, {}, left), el("p.quiet", {}, it.directory ?? it.issuer), next, again, it.warnings.map((text) => el("p.warning", {}, text)));
  }

  function aside({ status }) {
    const { n8n, certificates, policy, hardening, audit } = status;
    const put = (id, about, make) => fill(document.getElementById(id), about, make);
    put("n8n", [n8n, status.n8n_release, status.n8n_unclaimed], () => [
      ...n8n.map((it) => entry(it.url, badge(it.up ? "up" : "down", it.up ? "good" : "bad"), it.circuit !== "closed" && quiet(" requests are refused at once"))),
      entry("Release", status.n8n_release ?? quiet("not known yet")),
      status.n8n_unclaimed && entry("Owner", badge("none", "bad"), quiet(" whoever opens /setup first owns it")),
    ]);
    put("certificates", certificates, () => certificates.map(certificate));
    put("policy", policy, () => [
      entry("File", mono(policy.file)),
      entry("In force", `revision ${policy.revision} since `, when(policy.since), quiet(` ${policy.hash}`)),
      entry("Last reload", policy.last_reload ? words(policy.last_reload) : quiet("none since the start")),
      ...policy.problems.map((text) => entry("Problem", el("pre", {}, text))),
    ]);
    put("audit", audit, () => {
      if (!audit) return el("p.quiet", {}, "None yet. With “audit:” in the policy the gateway looks once a day; “n8n-gateway audit” looks now.");
      const found = el("ul.list", {}, audit.found.map((it) => el("li", {}, el("div", {}, badge(it.level, { critical: "bad", high: "bad", medium: "warn" }[it.level] ?? "dull"), ` ${it.title}`))));
      const blind = audit.unknown > 0 ? `, ${many(audit.unknown, "check")} could not be made` : "";
      return [el("p.quiet", {}, `${audit.found.length === 0 ? "Nothing found" : many(audit.found.length, "finding")}${blind}, `, when(audit.at, "ago")), found];
    });
    put("hardening", hardening, () => [
      entry("Files", hardening.landlock ? `Landlock ${hardening.landlock}` : badge("not confined", "warn")),
      entry("System calls", hardening.seccomp ? "seccomp" : badge("not filtered", "warn")),
      entry("Privileges", hardening.no_new_privileges ? "none is gained again" : badge("can be gained", "warn")),
      entry("Core dumps", hardening.no_core_dumps ? "none" : badge("possible", "warn")),
      entry("Capabilities", hardening.capabilities.length === 0 ? "none is left" : hardening.capabilities.join(", ")),
    ]);
    document.getElementById("about").replaceChildren(`n8n-gateway ${status.version}, process ${status.process}, up ${span(status.uptime_seconds)}`);
  }

  return { attention, figures, refusals, bans, why, signIns, limits, webhooks, sessions, windows, aside, net };
})();
