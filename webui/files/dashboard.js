// Updates the page: by events, by polling if events stop, and with a notice if both fail.
const main = document.getElementById("dashboard");
const spoken = document.getElementById("spoken");
const SILENCE = 3000; // milliseconds without an event after which the page polls
const REOPEN = 10000; // milliseconds without an event after which the stream is opened again

let source = null;
let opened = 0; // when the stream of events was opened
let lastEvent = 0; // when the last event arrived
let lastResponse = Date.now(); // when webui last sent anything
let polls = 0;
let busy = false;

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
    source = new EventSource("events");
    source.addEventListener("dashboard", (event) => {
        lastEvent = Date.now();
        show(event.data);
        mark("events");
    });
}

async function request(url) {
    const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(2000) });
    // While redis is unreachable, /json returns 503 and the fragment explains it. Other errors come from a proxy.
    if (!response.ok && !(url === "json" && response.status === 503)) throw new Error(response.statusText);
    if (response.ok) lastResponse = Date.now();
    return response;
}

async function poll() {
    if (busy) return;
    busy = true;
    try {
        const response = await request("json");
        if (response.ok) {
            const { hashes, coins } = await response.json();
            write("hashes", hashes ?? 0);
            write("coins", coins);
        }
        if (!response.ok) polls = 0;
        if (!response.ok || polls++ % 5 === 0) show(await (await request("fragment")).text());
        mark("polling");
    } catch {
        polls = 0;
        mark("lost");
    }
    busy = false;
}

function write(id, number) {
    const place = document.getElementById(id);
    if (place) place.textContent = BigInt(number).toLocaleString("en");
}

function mark(live) {
    document.documentElement.dataset.live = live;
    const lost = live === "lost";
    const notice = main.querySelector(".notice");
    if (lost && notice) {
        const age = Math.round((Date.now() - lastResponse) / 1000);
        const ago = age < 120 ? `${age} s` : `${Math.floor(age / 60)} min`;
        notice.innerHTML = `<strong>Connection lost ${ago} ago.</strong> These are the last numbers received.`;
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

// ---- The cursor on the chart

const SPAN = 300;
const NUMBER = /-?\d+/g;
let pointer = null; // where the pointer is on the chart, from 0 to 1
let cursorTime = null; // the time that the cursor shows, in seconds since the Unix epoch

// The points of a path, [time, speed], from its absolute and then relative numbers.
function points(path, now, top) {
    return path.getAttribute("d").split("M").slice(1).flatMap((piece) => {
        const numbers = piece.match(NUMBER).map(Number);
        let [x, y] = [0, 0];
        return Array.from({ length: numbers.length / 2 }, (_, i) => {
            x += numbers[2 * i];
            y += numbers[2 * i + 1];
            return [now - SPAN + (x / 1500) * SPAN, (top * (1000 - y)) / 1000];
        });
    });
}

function drawCursor(root) {
    const chart = root.querySelector("#chart");
    const line = root.querySelector(".cursor");
    const text = root.querySelector("#cursor");
    if (!chart || !line || !text) return;
    const [now, top] = [Number(chart.dataset.now), Number(chart.dataset.top)];
    if (pointer !== null) cursorTime = now - SPAN * (1 - pointer);
    if (cursorTime !== null) cursorTime = Math.min(Math.max(cursorTime, now - SPAN), now);
    line.setAttribute("visibility", cursorTime === null ? "hidden" : "visible");
    text.textContent = "";
    if (cursorTime === null) return;

    const bands = [...root.querySelectorAll("path.line")];
    const far = (point) => Math.abs(point[0] - cursorTime);
    const speeds = bands.map((band) => {
        const near = points(band, now, top).reduce((a, b) => (far(b) < far(a) ? b : a), [Infinity, 0]);
        return far(near) <= 4 ? near[1] : null;
    });
    // A version without speed has no line; its edge is the line below it.
    speeds.forEach((speed, i) => speeds[i] = speed ?? speeds[i - 1] ?? null);
    const x = `${100 - ((now - cursorTime) / SPAN) * 100}%`;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    const round = (speed) => (speed < 99.95 ? speed.toFixed(1) : Math.round(speed).toLocaleString("en"));
    const total = speeds.at(-1) ?? null;
    let label = `${new Date(cursorTime * 1000).toLocaleTimeString()} · `;
    label += total === null ? "no reading" : `${round(total)} hashes per second`;
    if (total !== null && bands.length > 1) {
        const parts = bands.map((band, i) => `${band.dataset.name} ${round(Math.max(0, speeds[i] - (speeds[i - 1] ?? 0)))}`);
        label += ` · ${parts.reverse().join(", ")}`;
    }
    text.textContent = label;
    chart.setAttribute("aria-valuenow", Math.round(cursorTime - now));
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
    if (!chart || event.ctrlKey || event.altKey || event.metaKey) return;
    const now = Number(chart.dataset.now);
    const from = cursorTime ?? now;
    const to = {
        ArrowLeft: from - 2, ArrowDown: from - 2, ArrowRight: from + 2, ArrowUp: from + 2,
        PageDown: from - 30, PageUp: from + 30, Home: now - SPAN, End: now, Escape: null,
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
    if (event.target.id !== "chart" || pointer !== null) return;
    cursorTime = Number(event.target.dataset.now);
    drawCursor(main);
});
main.addEventListener("keydown", key);
main.addEventListener("focusout", (event) => event.target.id === "chart" && hideCursor(event));
