// What pages cannot do without: copying, tabs, the live tail and the playground. Everything else works without it.
"use strict";

for (const code of document.querySelectorAll(".code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy quiet compact";
  button.textContent = "Copy";
  const name = code.getAttribute("data-name");
  if (name) button.setAttribute("aria-label", `Copy ${name}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  code.append(button);
}

for (const tabs of document.querySelectorAll("[data-tabs]")) {
  const panels = [...tabs.parentElement.querySelectorAll("[data-panel]")];
  const buttons = panels.map((panel, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.id = `tab-${panel.id}`;
    button.textContent = panel.dataset.panel;
    button.setAttribute("role", "tab");
    button.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", button.id);
    panel.querySelector("h3").hidden = true;
    button.addEventListener("click", () => choose(number));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose((number + step + panels.length) % panels.length, true);
    });
    tabs.append(button);
    return button;
  });
  const choose = (chosen, focus) => {
    buttons.forEach((button, number) => {
      button.setAttribute("aria-selected", String(number === chosen));
      button.tabIndex = number === chosen ? 0 : -1;
      panels[number].hidden = number !== chosen;
    });
    if (focus) buttons[chosen].focus();
  };
  tabs.hidden = false;
  choose(0);
}

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

// What the playground kept is not for who signs in next.
document.querySelector("form.bottom")?.addEventListener("submit", () => sessionStorage.clear());

// On a phone the places are a strip: where one is must be seen.
const strip = document.querySelector(".side nav ul");
const here = strip?.querySelector("[aria-current]");
if (here) strip.scrollLeft = here.offsetLeft - strip.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2;

const live = document.querySelector("[data-live]");
if (live) {
  const body = document.querySelector(live.dataset.into);
  const toggle = live.querySelector("button");
  let source = null;
  const stop = () => { source?.close(); source = null; show("Follow live"); live.classList.remove("on"); };
  const show = (text) => { toggle.lastChild.textContent = text; toggle.setAttribute("aria-pressed", String(source !== null)); };
  const begin = () => {
    source = new EventSource(live.dataset.live);
    show("Connecting");
    source.onopen = () => { show("Following"); live.classList.add("on"); };
    source.onerror = () => { live.classList.remove("on"); if (source && source.readyState === 2) stop(); };
    source.onmessage = (event) => {
      const holder = document.createElement("tbody");
      holder.innerHTML = event.data;
      const row = holder.rows[0];
      if (document.getElementById(row.id)) return;
      body.prepend(row);
      document.querySelector("[data-empty]")?.remove();
      document.querySelector("[data-table]")?.removeAttribute("hidden");
      while (body.rows.length > 200) body.deleteRow(-1);
    };
  };
  live.hidden = false;
  toggle.addEventListener("click", () => (source ? stop() : begin()));
  if (live.dataset.begin === "yes") begin();
}

const watch = document.querySelector("[data-watch]");
if (watch) {
  const target = document.querySelector(watch.dataset.into);
  const text = watch.lastElementChild;
  const show = (on) => { text.textContent = on ? "Following" : "Connecting"; watch.classList.toggle("on", on); };
  let source = null;
  // A page that nobody looks at asks for nothing.
  const follow = () => {
    source?.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource(watch.dataset.watch);
    source.onopen = () => show(true);
    source.onerror = () => show(false);
    source.onmessage = (event) => { target.innerHTML = event.data; };
  };
  watch.hidden = false;
  document.addEventListener("visibilitychange", follow);
  follow();
}

const playground = document.querySelector("[data-playground]");
if (playground) {
  // What this tab runs, and how far it has come: a page that is loaded again goes on there.
  const store = `playground ${playground.action}`;
  const panels = [...document.querySelectorAll("[data-run]")];
  const button = playground.querySelector("button");
  const stopping = playground.querySelector("[data-stop]");
  let runs = [];
  const keep = () => sessionStorage.setItem(store, JSON.stringify({ prompt: playground.elements.prompt.value, runs }));
  const show = (run, panel) => {
    panel.hidden = false;
    panel.querySelector("h2").textContent = run.model;
    panel.querySelector(".answer").textContent = run.text;
    const facts = panel.querySelector(".run-facts");
    const said = [];
    if (run.problem) said.push(run.problem);
    if (run.first) said.push(`first token after ${run.first} ms`);
    if (run.all) said.push(`all after ${run.all} ms`);
    if (run.usage) said.push(`${run.usage.prompt_tokens} tokens in, ${run.usage.completion_tokens} out`);
    if (run.usage?.cost !== undefined) said.push(`$${run.usage.cost.toFixed(6).replace(/(\.\d\d\d*?)0+$/, "$1")}`);
    if (run.resumed) said.push("went on after the page was loaded again");
    if (run.stopped) said.push("stopped; what was written is charged");
    facts.textContent = said.join(" · ") || "waiting for the first token";
    facts.classList.toggle("bad-text", Boolean(run.problem));
    if (run.done && run.id) {
      const link = document.createElement("a");
      link.href = `requests/${run.id}`;
      link.textContent = "Its cost and entry";
      facts.append(" · ", link);
    }
  };
  // One that has no name yet is stopped when it has.
  const stop = (run) => {
    run.stopped = true;
    if (run.stream) fetch(`${playground.action}/${run.stream}/stop`, { method: "POST", body: new URLSearchParams({ csrf: playground.elements.csrf.value }) });
  };
  stopping.addEventListener("click", () => runs.filter((run) => !run.done).forEach(stop));
  const follow = async (run, panel, response) => {
    if (!response.ok || !response.headers.get("content-type").startsWith("text/event-stream")) {
      run.problem = response.ok ? "Sign in again, then try once more." : `The console answered ${response.status}. Load the page again.`;
      return;
    }
    const answer = panel.querySelector(".answer");
    const take = (block) => {
      const field = (name) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      const data = field("data");
      const at = field("id");
      if (data && data !== "[DONE]") {
        const content = JSON.parse(data);
        if (field("event") === "request") { run.id = content.id || run.id; run.stream = content.stream || run.stream; keep(); if (run.stopped) stop(run); return; }
        if (field("event") === "problem" || content.error) { if (!run.stopped) run.problem = content.message ?? content.error.message; return; }
        const text = content.choices?.[0]?.delta?.content;
        if (text) {
          run.first ??= Math.round(Date.now() - run.begun);
          run.text += text;
          answer.append(text);
        }
        if (content.usage) run.usage = content.usage;
      }
      if (at) run.last = Number(at);
    };
    let rest = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop();
      blocks.forEach(take);
    }
    if (rest) take(rest);
    if (!run.resumed) run.all = Math.round(Date.now() - run.begun);
  };
  const start = async (ask) => {
    button.disabled = true;
    stopping.hidden = runs.every((run) => run.done);
    panels.forEach((panel, number) => { panel.hidden = !runs[number]; });
    await Promise.allSettled(runs.map(async (run, number) => {
      show(run, panels[number]);
      if (run.done) return;
      try {
        await follow(run, panels[number], await ask(run));
      } catch {
        run.problem = "The connection broke. Load the page again to go on.";
        show(run, panels[number]);
        delete run.problem;
        return;
      }
      run.done = true;
      show(run, panels[number]);
    }));
    keep();
    button.disabled = false;
    stopping.hidden = true;
  };
  playground.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = new FormData(playground);
    runs = [form.get("model"), form.get("second")].filter(Boolean).map((model) => ({ model, text: "", last: 0, begun: Date.now() }));
    start((run) => {
      const body = new URLSearchParams(form);
      body.set("model", run.model);
      return fetch(playground.action, { method: "POST", body });
    });
  });
  window.addEventListener("pagehide", keep);
  const before = JSON.parse(sessionStorage.getItem(store) ?? "null");
  // A run without a stream's name was not yet begun by the gateway.
  runs = before?.runs.filter((run) => run.stream || run.done) ?? [];
  if (runs.length) {
    playground.elements.prompt.value = before.prompt;
    runs.forEach((run) => { run.resumed ||= !run.done; });
    start((run) => fetch(`${playground.action}/${run.stream}?after=${run.last}`));
  }
}
