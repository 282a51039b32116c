// The sample pages' behaviour: a list kept by an event stream, buttons that say
// what the answer was, and a terminal that echoes.
const $ = (selector, from = document) => from.querySelector(selector);
const field = document.body.dataset.field;

function show(object) {
  const { name, namespace } = object.metadata, id = `item-${namespace}-${name}`;
  let card = document.getElementById(id);
  if (!card) {
    card = $("#item").content.cloneNode(true).firstElementChild;
    card.id = id;
    card.dataset.name = name;
    $("#items").append(card);
  }
  const s = object.status, state = s.sync ? s.sync.status : s.phase;
  card.className = state;
  $("h3", card).textContent = name;
  $(".status", card).textContent = s.sync ? `${s.health.status}, ${state}` : `${state}, ${s.progress}`;
  const facts = s.sync
    ? { project: object.spec.project, path: object.spec.source.path, revision: s.sync.revision }
    : { namespace, started: s.startedAt, creator: object.metadata.labels?.["workflows.argoproj.io/creator"] ?? "cron" };
  $("dl", card).replaceChildren(...Object.entries(facts).flatMap(([k, v]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = k; dd.textContent = v;
    return [dt, dd];
  }));
  return `${name}: ${state}`;
}

const events = new EventSource(document.body.dataset.stream), live = $("#live");
events.onopen = () => { live.textContent = "live"; live.className = "on"; };
events.onerror = () => { live.textContent = "no stream"; live.className = ""; };
events.onmessage = (e) => {
  const { result } = JSON.parse(e.data), li = document.createElement("li");
  li.textContent = `${new Date().toLocaleTimeString()} ${result.type} ${show(result[field])}`;
  $("#events").prepend(li);
};

document.addEventListener("click", async (e) => {
  const { act, ns } = e.target.dataset, name = e.target.closest("article")?.dataset.name;
  if (!act) return;
  const [path, body] = act === "sync"
    ? [`/api/v1/applications/${encodeURIComponent(name)}/sync`, {}]
    : [`/api/v1/workflows/${ns}/submit`, { resourceKind: "WorkflowTemplate", resourceName: "build-image" }];
  const out = $("#answer");
  try {
    const res = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const said = await res.json().catch(() => ({}));
    out.className = res.ok ? "ok" : "no";
    out.textContent = `POST ${path}: ${res.status} ${res.ok ? "done" : said.detail ?? said.title ?? said.error ?? ""}`;
  } catch (err) {
    out.className = "no";
    out.textContent = `POST ${path}: ${err.message}`;
  }
});

const screen = $("#terminal");
if (screen) {
  const ws = new WebSocket(`${location.origin.replace(/^http/, "ws")}/terminal`);
  const print = (text) => { screen.textContent += text; screen.scrollTop = screen.scrollHeight; };
  ws.onmessage = (e) => print(JSON.parse(e.data).data);
  ws.onclose = () => print("\n(no connection: not allowed, or ended)");
  $("#type").addEventListener("submit", (e) => {
    e.preventDefault();
    const input = $("input", e.target);
    if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify({ operation: "stdin", data: input.value + "\r\n" }));
    input.value = "";
  });
}
