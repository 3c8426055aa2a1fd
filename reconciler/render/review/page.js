"use strict";
(() => {
  const CHUNK = 150;
  const TELLING = ["root", "way", "nothing"];
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const text = (number) => data.texts[number];

  /* Elements are only ever made here, and foreign text only ever becomes a text node. */
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== "") element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== "" && child !== undefined));
    return element;
  };

  const accounts = data.accounts.map((account, place) => ({ ...account, place }));
  const state = { query: "", kind: "", realm: "", risk: "", mark: "", sort: "account", down: false };

  const profileWords = data.profiles.map(([, rows]) =>
    rows.map((row) => text(row[2])).join(" ").toLowerCase());
  for (const account of accounts) {
    account.words = [account.id, account.name, account.email, account.comment,
      ...(account.groups || [])].join(" ").toLowerCase();
    account.risk_code = data.codes[account.risk];
    account.mark_codes = account.marks.map((mark) => data.codes[data.risks.length + mark]);
    if (account.changed) account.mark_codes.push("changed");
  }

  const fits = (account, words) =>
    (!state.kind || (state.kind === "token") === Boolean(account.token)) &&
    (!state.realm || account.realm === state.realm) &&
    (!state.risk || account.risk_code === state.risk) &&
    (!state.mark || account.mark_codes.includes(state.mark)) &&
    words.every((word) => account.words.includes(word) ||
      profileWords[account.profile].includes(word));

  const levelOf = (account, sort) => {
    const cell = data.profiles[account.profile][0][sort];
    return cell.length ? cell[0][0] : 0;
  };
  const keys = {
    account: (account) => account.place,
    login: (account) => account.login,
    expires: (account) => account.ends || Infinity,
    age: (account) => account.age || "",
    factor: (account) => account.factor || "",
    privsep: (account) => account.privsep || "",
    groups: (account) => (account.groups || []).join(", "),
    comment: (account) => account.comment || "",
  };
  const keyOf = (name) => keys[name] || ((account) => -levelOf(account, Number(name)));

  const chosen = () => {
    const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
    const key = keyOf(state.sort);
    const rows = accounts.filter((account) => fits(account, words))
      .map((account) => [key(account), account]);
    const sign = state.down ? -1 : 1;
    rows.sort((a, b) => (a[0] < b[0] ? -sign : a[0] > b[0] ? sign : a[1].place - b[1].place));
    return rows.map((row) => row[1]);
  };

  /* A table shows its first rows at once and the next ones when they come into sight. */
  class Table {
    constructor(id, columns, cells) {
      const table = byId(id);
      this.body = table.tBodies[0];
      this.cells = cells;
      this.width = columns.length;
      this.rows = [];
      this.shown = 0;
      this.heads = columns.map(([name, title, hint]) => {
        const button = make("button", { type: "button", title: hint }, title);
        const head = make("th", { scope: "col", "data-sort": name }, button);
        button.addEventListener("click", () => sortBy(name));
        return head;
      });
      table.tHead.append(make("tr", {}, ...this.heads));
      this.end = make("button", { type: "button", class: "quiet rest" });
      this.end.addEventListener("click", () => this.more(CHUNK));
      table.after(this.end);
      new IntersectionObserver((seen) => {
        if (seen.some((one) => one.isIntersecting)) this.more(CHUNK);
      }, { rootMargin: "1200px" }).observe(this.end);
    }

    show(rows) {
      this.rows = rows;
      this.shown = 0;
      this.body.replaceChildren();
      for (const head of this.heads) {
        const own = head.dataset.sort === state.sort;
        if (own) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
      this.more(CHUNK);
    }

    more(number) {
      const part = this.rows.slice(this.shown, this.shown + number);
      this.shown += part.length;
      this.body.append(...part.map((account) => this.row(account)));
      const left = this.rows.length - this.shown;
      this.end.hidden = !left;
      this.end.textContent = `Show more (${left.toLocaleString("en")} left)`;
    }

    row(account) {
      const button = who(account);
      const out = account.login === "active" ? "" : " off";
      const row = make("tr", { class: `row${out}` },
        make("th", { scope: "row" }, button), ...this.cells(account));
      button.addEventListener("click", () => toggle(row, button, account, this.width));
      return row;
    }
  }

  const who = (account) => {
    const [user, token] = account.token
      ? [`${account.owner}!`, account.id.slice(account.owner.length + 1)]
      : [account.id.slice(0, account.id.length - account.realm.length - 1), `@${account.realm}`];
    const id = account.token
      ? make("span", { class: "id" }, user, make("b", {}, token))
      : make("span", { class: "id" }, make("b", {}, user), token);
    const notes = [];
    if (account.token) notes.push("token");
    if (TELLING.includes(account.risk_code)) {
      notes.push(make("span", { class: `risk-${account.risk_code}` }, data.risks[account.risk]));
    }
    notes.push(...account.marks.map((mark) => data.marks[mark]));
    if (account.changed) notes.push("changed");
    const tags = make("span", { class: "tags" },
      ...notes.flatMap((note, place) => (place ? [" · ", note] : [note])));
    return make("button", { type: "button", class: "who", "aria-expanded": "false" }, id, tags);
  };

  const cell = (parts) => {
    if (!parts.length) return make("td", {}, make("span", { class: "cell l0" }, "–"));
    const [level, where] = parts[0];
    const box = make("span", { class: `cell l${level}` }, make("b", {}, data.levels[level]));
    box.append(make("span", {}, text(where)));
    if (parts.length > 1) {
      const [lower, place] = parts[1];
      box.append(make("span", {}, `${data.levels[lower].toLowerCase()} ${text(place)}`));
    }
    return make("td", {}, box);
  };

  const plain = (value) => make("td", {}, value || "");

  const toggle = (row, button, account, width) => {
    const open = button.getAttribute("aria-expanded") === "true";
    if (open) row.nextElementSibling.remove();
    else row.after(make("tr", { class: "detail" }, make("td", { colspan: width }, detail(account))));
    button.setAttribute("aria-expanded", String(!open));
  };

  const list = (pairs) => make("dl", {}, ...pairs.filter((pair) => pair[1])
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));

  const identity = (account) => list([
    ["Name", account.name], ["Email", account.email], ["Comment", account.comment],
    ["Kind", account.token ? `token of ${account.owner}` : "user"],
    ["Login", account.login], ["Expires", account.expires],
    ["Second factor", account.factor], ["Privilege separation", account.privsep],
    ["Age of secret", account.age], ["Groups", (account.groups || []).join(", ")],
    ["Also exists", (account.twins || []).join(", ")], ["Declared", account.declared],
  ]);

  const rights = (account) => {
    const [, rows] = data.profiles[account.profile];
    if (!rows.length) return make("p", { class: "more" }, "Nothing.");
    if (account.risk_code === "root") return make("p", {}, "Every privilege, everywhere.");
    return make("table", { class: "inner", "aria-label": "Rights" }, make("tbody", {}, ...rows.map((row) => make("tr", {},
      make("th", { scope: "row", class: "sort" }, data.sorts[row[0]]),
      make("td", { class: "where" }, make("b", {}, data.levels[row[1]]), " ", text(row[2])),
      make("td", {}, text(row[3]), make("span", { class: "privs" }, text(row[4])))))));
  };

  const grants = (account) => {
    const own = account.token ? [`token:${account.id}`, `user:${account.owner}`] : [`user:${account.id}`];
    const names = [...own, ...(account.groups || []).map((group) => `group:${group}`)];
    const rows = names.flatMap((name) => (data.grants[name] || []).map((row) => [name, row]));
    return rows.map(([name, [path, role, propagate, reason, ends]]) => make("tr", {},
      make("th", { scope: "row" }, text(role)),
      make("td", {}, make("code", {}, text(path)), propagate ? "" : " not below it"),
      make("td", {}, name.replace(":", " ")),
      make("td", {}, [text(reason), text(ends) && `until ${text(ends)}`].filter(Boolean).join(", "))));
  };

  const detail = (account) => {
    const side = make("div", {}, make("h3", {}, "Account"), identity(account));
    const main = make("div", {}, make("h3", {}, "Rights"), rights(account));
    const entries = grants(account);
    if (entries.length) {
      main.append(make("h3", {}, "Granted by"),
        make("table", { class: "inner", "aria-label": "Granted by" }, make("tbody", {}, ...entries)));
    }
    for (const way of data.ways[account.id] || []) {
      main.append(make("h3", { class: "bad" }, "Way to root"),
        make("ol", {}, ...way.map((step) => make("li", {}, text(step)))));
    }
    if (account.changed) {
      main.append(make("h3", {}, "Changed since the review before"),
        make("ul", {}, ...account.changed.map((line) => make("li", {}, line))));
    }
    return make("div", { class: "grid" }, side, main);
  };

  const rightsTable = new Table("rights",
    [["account", "Account"], ...data.sorts.map((title, number) => [String(number), title])],
    (account) => data.profiles[account.profile][0].map(cell));
  const loginsTable = new Table("logins",
    [["account", "Account"], ["login", "Login"], ["expires", "Expires"],
      ["age", "Age of secret", "How long a token's secret has been in use"],
      ["factor", "Second factor"],
      ["privsep", "Separation", "Whether a token has only what it is granted itself"],
      ["groups", "Groups"],
      ["comment", "Comment"]],
    (account) => [account.login, account.expires, account.age, account.factor, account.privsep,
      (account.groups || []).join(", "),
      [account.name, account.comment].filter(Boolean).join(" · ")].map(plain));

  const update = () => {
    const rows = chosen();
    rightsTable.show(rows);
    loginsTable.show(rows);
    const all = accounts.length.toLocaleString("en");
    byId("count").textContent = rows.length === accounts.length
      ? `${all} accounts` : `${rows.length.toLocaleString("en")} of ${all} accounts`;
  };

  const sortBy = (name) => {
    state.down = state.sort === name && !state.down;
    state.sort = name;
    update();
  };

  const controls = ["query", "kind", "realm", "risk", "mark"].map(byId);
  for (const control of controls) {
    control.addEventListener("input", () => { state[control.id] = control.value; update(); });
  }
  const clear = () => {
    for (const control of controls) control.value = state[control.id] = "";
  };
  byId("reset").addEventListener("click", () => { clear(); update(); });
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => {
      clear();
      const { filter, value } = button.dataset;
      byId(filter).value = state[filter] = value;
      update();
      byId("accounts").scrollIntoView({ block: "start" });
    });
  }

  const tabs = [["tab-rights", "panel-rights"], ["tab-logins", "panel-logins"]];
  const select = (number) => tabs.forEach(([tab, panel], place) => {
    byId(tab).setAttribute("aria-selected", String(place === number));
    byId(tab).tabIndex = place === number ? 0 : -1;
    byId(panel).hidden = place !== number;
  });
  tabs.forEach(([tab], number) => {
    byId(tab).addEventListener("click", () => select(number));
    byId(tab).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      select(1 - number);
      byId(tabs[1 - number][0]).focus();
    });
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing) { event.preventDefault(); byId("query").focus(); }
    if (event.key === "Escape" && event.target === byId("query")) { clear(); update(); }
  });

  const theme = byId("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);

  /* Paper shows everything that fits the filters, in both tables, and every way to root. */
  window.addEventListener("beforeprint", () => {
    for (const table of [rightsTable, loginsTable]) table.more(Infinity);
    for (const details of document.querySelectorAll("details")) details.open = true;
  });

  theme.hidden = false;
  byId("tools").hidden = false;
  label();
  update();
})();
