// Updates the page: by events, by polling if events stop, and with a notice if both fail.
const main = document.getElementById("dashboard");
const spoken = document.getElementById("spoken");
const SILENCE = 3000; // milliseconds without an event after which the page polls
const REOPEN = 10000; // milliseconds without an event after which the stream is opened again

let source = null;
let opened = 0; // when the stream of events was opened
let lastEvent = 0; // when the last event arrived
let lastResponse = Date.now(); // when the dashboard was last received
let busy = false;
let lines = []; // of the dashboard as the stream of events has sent it

// The window of the chart, for requests.
const query = new URLSearchParams(location.search).has("window") ? location.search : "";

// ---- The page

function show(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    drawCursor(fresh.content);
    morph(main, fresh.content);
    lastResponse = Date.now();
}

// Changes only the nodes that differ, so that focus, selection and hover stay.
function morph(old, fresh) {
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
        let found = at;
        const key = next.dataset?.key;
        while (key && found && found.dataset?.key !== key) found = found.nextSibling;
        if (found && found.nodeName === next.nodeName && found.dataset?.key === key) {
            while (at !== found) at = remove(at);
            at = found.nextSibling;
            if (found.nodeType !== Node.ELEMENT_NODE) {
                if (found.data !== next.data) found.data = next.data;
                continue;
            }
            for (const { name } of [...found.attributes]) {
                if (!next.hasAttribute(name)) found.removeAttribute(name);
            }
            for (const { name, value } of next.attributes) {
                if (found.getAttribute(name) !== value) found.setAttribute(name, value);
            }
            morph(found, next);
        } else {
            old.insertBefore(next, at);
        }
    }
    while (at) at = remove(at);
}

function remove(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
}

// ---- Updates from webui

function open() {
    source?.close();
    opened = Date.now();
    source = new EventSource("events" + query);
    source.addEventListener("whole", (event) => {
        lines = event.data.split("\n");
        receive();
    });
    source.addEventListener("patch", (event) => {
        for (const [at, removed, ...added] of JSON.parse(event.data)) lines.splice(at, removed, ...added);
        receive();
    });
}

function receive() {
    lastEvent = Date.now();
    show(lines.join("\n"));
    mark("events");
}

async function poll() {
    if (busy) return;
    busy = true;
    try {
        const response = await fetch("fragment" + query, { cache: "no-store", signal: AbortSignal.timeout(2000) });
        // webui always responds with 200 here, so another status is from a proxy.
        if (!response.ok) throw new Error(response.statusText);
        show(await response.text());
        mark("polling");
    } catch {
        mark("lost");
    }
    busy = false;
}

function mark(live) {
    document.documentElement.dataset.live = live;
    const lost = live === "lost";
    const notice = main.querySelector(".notice");
    if (lost && notice) {
        const age = Math.round((Date.now() - lastResponse) / 1000);
        const ago = age < 120 ? `${age} s` : `${Math.floor(age / 60)} min`;
        notice.innerHTML = `<p><strong>Connection lost ${ago} ago.</strong> These are the last numbers received.</p>`;
    }
    main.classList.toggle("stale", lost);
    // Screen readers announce an error once, without its age, and later that it is over.
    const problem = lost ? "Connection lost." : (notice?.querySelector("strong")?.textContent ?? "");
    const message = problem || (spoken.textContent && "The numbers are fresh again.");
    if (spoken.textContent !== message) spoken.textContent = message;
}

// A hidden tab has no connection, because browsers limit the connections of all tabs together.
function tick() {
    if (document.hidden) return;
    const now = Date.now();
    const since = now - Math.max(opened, lastEvent);
    if (!source || since > (source.readyState === EventSource.CLOSED ? SILENCE : REOPEN)) open();
    if (now - Math.max(lastEvent, shown) > SILENCE) poll();
}

let shown = Date.now(); // when the tab was last brought to the front
document.addEventListener("visibilitychange", () => {
    source?.close();
    source = null;
    shown = Date.now();
    tick();
});
setInterval(tick, 1000);
tick();

// ---- Presentation mode

function present(on) {
    document.documentElement.classList.toggle("present", on);
    const parameters = new URLSearchParams(location.search);
    parameters.delete("present");
    const rest = parameters.size ? "&" + parameters : "";
    history.replaceState(null, "", on ? "?present" + rest : rest.replace("&", "?") || location.pathname);
}

if (new URLSearchParams(location.search).has("present")) present(true);
addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("input, textarea, select")) return;
    if (event.key === "f") present(!document.documentElement.classList.contains("present"));
    if (event.key === "Escape") present(false);
});

// ---- The cursor on the chart

let pointer = null; // where the pointer is on the chart, from 0 to 1
let cursorTime = null; // the time that the cursor shows, in seconds since the Unix epoch

function series(root) {
    const text = root.querySelector("#series")?.textContent;
    return text ? JSON.parse(text) : null;
}

function drawCursor(root) {
    const chart = root.querySelector("#chart");
    const line = root.querySelector(".cursor");
    const text = root.querySelector("#cursor");
    const data = series(root);
    if (!chart || !line || !text || !data) return;
    const { start, span, points, versions } = data;
    if (pointer !== null) cursorTime = start + span * pointer;
    if (cursorTime !== null) cursorTime = Math.min(Math.max(cursorTime, start), start + span);
    line.setAttribute("visibility", cursorTime === null ? "hidden" : "visible");
    text.textContent = "";
    if (cursorTime === null) return;

    const x = `${((cursorTime - start) / span) * 100}%`;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    const far = (point) => Math.abs(point[0] - cursorTime);
    const near = points.reduce((a, b) => (far(b) < far(a) ? b : a), [Infinity]);
    const round = (speed) => (speed < 99.95 ? speed.toFixed(1) : Math.round(speed).toLocaleString("en"));
    const found = far(near) <= Math.max(4, span / 75);
    let label = `${new Date((found ? near[0] : cursorTime) * 1000).toLocaleTimeString()} · `;
    if (found) {
        const [, capacity, ...speeds] = near;
        label += `${round(speeds.reduce((a, b) => a + b, 0))} hashes per second`;
        if (speeds.length > 1) label += ` · ${versions.map((name, i) => `${name || "others"} ${round(speeds[i])}`).reverse().join(", ")}`;
        if (capacity !== null) label += ` · capacity ${round(capacity)}`;
    } else {
        label += "no reading";
    }
    text.textContent = label;
    chart.setAttribute("aria-valuenow", Math.round(cursorTime));
    chart.setAttribute("aria-valuetext", label);
}

function moveCursor(event) {
    const box = main.querySelector("#chart > svg")?.getBoundingClientRect();
    if (!box || !event.target.closest?.("#chart")) return;
    pointer = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    drawCursor(main);
}

function hideCursor(event) {
    // The cursor stays when a finger is lifted.
    if (event.type === "focusout" || event.pointerType === "mouse") cursorTime = null;
    pointer = null;
    drawCursor(main);
}

function key(event) {
    const chart = event.target.closest("#chart");
    const data = series(main);
    if (!chart || !data || event.ctrlKey || event.altKey || event.metaKey) return;
    const { start, span } = data;
    const step = Math.max(2, span / 150);
    const from = cursorTime ?? start + span;
    const to = {
        ArrowLeft: from - step, ArrowDown: from - step, ArrowRight: from + step, ArrowUp: from + step,
        PageDown: from - 15 * step, PageUp: from + 15 * step, Home: start, End: start + span, Escape: null,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    pointer = null;
    cursorTime = to;
    drawCursor(main);
}

main.addEventListener("pointerdown", moveCursor);
main.addEventListener("pointermove", moveCursor);
main.addEventListener("pointerout", (event) => {
    if (event.target.closest("#chart") && !event.relatedTarget?.closest?.("#chart")) hideCursor(event);
});
main.addEventListener("focusin", (event) => {
    const data = series(main);
    if (event.target.id !== "chart" || pointer !== null || !data) return;
    cursorTime = data.start + data.span;
    drawCursor(main);
});
main.addEventListener("keydown", key);
main.addEventListener("focusout", (event) => event.target.id === "chart" && hideCursor(event));
