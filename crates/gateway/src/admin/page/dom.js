"use strict";
// What the page is drawn with. What is shown is from strangers: text becomes text, never markup.

const dom = (() => {
  // An element: `tag.class`, attributes, and what is in it (text, elements, or nothing).
  function el(name, attributes, ...inside) {
    const [tag, ...classes] = name.split(".");
    const made = document.createElement(tag);
    if (classes.length > 0) made.className = classes.join(" ");
    for (const [key, value] of Object.entries(attributes ?? {})) {
      if (key === "click") made.addEventListener("click", value);
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : String(value));
    }
    made.append(...inside.flat().filter((it) => it !== null && it !== undefined && it !== false));
    return made;
  }

  // Draws one element for each item and keeps those that have not changed where they are, so that
  // nobody who reads, marks text or has the focus there is disturbed.
  function keyed(parent, items, key, make) {
    const old = new Map(Array.from(parent.children, (it) => [it.dataset.key, it]));
    // What is gone goes first: what is moved around it would lose the focus.
    const names = distinct(items.map(key));
    const wanted = new Set(names);
    for (const [name, it] of old) if (!wanted.has(name)) it.remove();
    let place = parent.firstElementChild;
    for (const [at, item] of items.entries()) {
      const name = names[at];
      const drawn = JSON.stringify(item);
      let row = old.get(name);
      if (!row || row.drawn !== drawn) {
        const fresh = make(item);
        fresh.dataset.key = name;
        fresh.drawn = drawn;
        if (row) {
          if (place === row) place = fresh;
          swap(row, fresh);
        }
        row = fresh;
      }
      if (place === row) place = row.nextElementSibling;
      else parent.insertBefore(row, place);
    }
  }

  // Names that come again are numbered: long ones are cut off, and may be the same then.
  function distinct(names) {
    const seen = new Map();
    return names.map((name) => {
      seen.set(name, (seen.get(name) ?? 0) + 1);
      return seen.get(name) === 1 ? name : `${name} #${seen.get(name)}`;
    });
  }

  // Puts `fresh` in place of `row`; what had the focus there has it still.
  function swap(row, fresh) {
    const active = row.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
    row.replaceWith(fresh);
    if (active) fresh.querySelector(`[data-focus="${CSS.escape(active)}"]`)?.focus();
  }

  // The same for what is one piece.
  function fill(parent, about, make) {
    const drawn = JSON.stringify(about);
    if (parent.drawn === drawn) return;
    parent.drawn = drawn;
    parent.replaceChildren(...[make()].flat().filter((it) => it));
  }

  // A row of a table; each cell says its column where columns have no room.
  function row(...cells) {
    return el("tr", { role: "row" }, cells);
  }

  function cell(label, attributes, ...inside) {
    return el("td", { role: "cell", "data-label": label, ...attributes }, ...inside);
  }

  const SMALL = matchMedia("(max-width: 48rem)");

  // Rows of a table, and a line below it if not all are shown.
  function table(id, items, key, make, { all = items.length, most = 12, none, open }) {
    if (SMALL.matches) most = 5;
    const body = document.querySelector(`#${id} tbody`);
    const shown = open.has(id) ? items : items.slice(0, most);
    keyed(body, shown, key, make);
    const place = body.closest("table");
    place.hidden = items.length === 0;
    let foot = place.nextElementSibling;
    if (!foot?.classList.contains("foot")) {
      foot = el("p.foot.quiet");
      place.after(foot);
    }
    const more = items.length - shown.length;
    fill(foot, [items.length === 0 ? none : null, more, all - items.length, open.has(id)], () => {
      if (items.length === 0) return none;
      const missing = all - items.length;
      const toggle = (text, change) => el("button.plain", { type: "button", "data-focus": "more", click: () => { change(); document.dispatchEvent(new Event("redraw")); foot.querySelector("button")?.focus(); } }, text);
      return [
        more > 0 && toggle(`Show ${more} more`, () => open.add(id)),
        open.has(id) && items.length > most && toggle("Show fewer", () => open.delete(id)),
        missing > 0 && el("span", {}, `${missing.toLocaleString("en")} more are not on this page: see the commands`),
      ];
    });
  }

  // Seconds, for a person.
  function span(seconds) {
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return s < 172800 ? "1 day" : `${Math.floor(s / 86400)} days`;
  }

  let ahead = 0;
  const now = () => Date.now() / 1000 + ahead;

  // Takes the gateway's clock for ours: what it tells is dated by it.
  function clock(seconds) {
    ahead = seconds - Date.now() / 1000;
  }

  const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

  // A moment: as it is on the clock, or how far it is (`ago`, `left`, `in`), which goes on by itself.
  function when(at, way) {
    const date = new Date(at * 1000);
    const made = el("time", { datetime: date.toISOString(), title: WHOLE.format(date), "data-at": at, "data-way": way });
    made.textContent = way ? distance(at, way) : (Math.abs(now() - at) < 64800 ? TIME : DAY).format(date);
    return made;
  }

  function distance(at, way) {
    if (way === "ago") return `${span(now() - at)} ago`;
    return way === "left" ? `${span(at - now())} left` : `in ${span(at - now())}`;
  }

  function tick() {
    for (const it of document.querySelectorAll("time[data-way]")) {
      const text = distance(Number(it.dataset.at), it.dataset.way);
      if (it.textContent !== text) it.textContent = text;
    }
  }

  return { el, keyed, fill, row, cell, table, span, clock, now, when, tick };
})();
