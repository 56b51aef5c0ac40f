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
  const run = async (panel, model) => {
    const answer = panel.querySelector(".answer");
    const facts = panel.querySelector(".run-facts");
    panel.querySelector("h2").textContent = model;
    panel.hidden = false;
    answer.textContent = "";
    facts.textContent = "waiting for the first token";
    const body = new URLSearchParams(new FormData(playground));
    body.set("model", model);
    const begun = performance.now();
    let first = null, usage = null, id = "", problem = "";
    const response = await fetch(playground.action, { method: "POST", body });
    if (!response.ok || !response.headers.get("content-type").startsWith("text/event-stream")) {
      facts.textContent = response.ok ? "Sign in again, then try once more." : `The console answered ${response.status}. Load the page again.`;
      return;
    }
    const take = (block) => {
      const event = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (!data || data === "[DONE]") return;
      const content = JSON.parse(data);
      if (event === "request") { id = content.id; return; }
      if (event === "problem" || content.error) { problem = content.message ?? content.error.message; return; }
      const text = content.choices?.[0]?.delta?.content;
      if (text) { first ??= performance.now() - begun; answer.append(text); }
      if (content.usage) usage = content.usage;
    };
    let rest = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop();
      blocks.forEach(take);
    }
    if (rest) take(rest);
    const said = [];
    if (problem) said.push(problem);
    if (first !== null) said.push(`first token after ${Math.round(first)} ms`, `all after ${Math.round(performance.now() - begun)} ms`);
    if (usage) said.push(`${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out`);
    facts.textContent = said.join(" · ");
    facts.classList.toggle("bad-text", Boolean(problem));
    if (id) {
      const link = document.createElement("a");
      link.href = `requests/${id}`;
      link.textContent = "Its cost and entry";
      facts.append(said.length ? " · " : "", link);
    }
  };
  playground.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = playground.querySelector("button");
    button.disabled = true;
    const panels = document.querySelectorAll("[data-run]");
    const models = [playground.elements.model.value, playground.elements.second.value];
    panels[1].hidden = !models[1];
    const runs = models.map((model, number) => (model ? run(panels[number], model) : null));
    await Promise.allSettled(runs);
    button.disabled = false;
  });
}
