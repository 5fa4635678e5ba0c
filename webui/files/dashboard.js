// Keeps the page alive: events while they come, polling when they do not, and a plain word when neither does.
const main = document.getElementById("dashboard");
const spoken = document.getElementById("spoken");
const SILENCE = 3000;
const REOPEN = 10000;

let source = null;
let opened = 0; // when the stream of events was opened
let told = 0; // when it last told anything
let answered = Date.now(); // when anything last came from webui
let polls = 0;
let busy = false;

// ---- The page as it is now

function show(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    drawCursor(fresh.content);
    morph(main, fresh.content);
    answered = Date.now();
}

// Changes what differs and keeps every other node, and with it focus, selection and hover.
function morph(old, fresh) {
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
        let found = at;
        const key = wanted.dataset?.key;
        while (key && found && found.dataset?.key !== key) found = found.nextSibling;
        if (found && found.nodeName === wanted.nodeName && found.dataset?.key === key) {
            while (at !== found) at = remove(at);
            at = found.nextSibling;
            if (found.nodeType !== Node.ELEMENT_NODE) {
                if (found.data !== wanted.data) found.data = wanted.data;
                continue;
            }
            for (const { name } of [...found.attributes]) {
                if (!wanted.hasAttribute(name)) found.removeAttribute(name);
            }
            for (const { name, value } of wanted.attributes) {
                if (found.getAttribute(name) !== value) found.setAttribute(name, value);
            }
            morph(found, wanted);
        } else {
            old.insertBefore(wanted, at);
        }
    }
    while (at) at = remove(at);
}

function remove(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
}

// ---- News from webui

function open() {
    source?.close();
    opened = Date.now();
    source = new EventSource("events");
    source.addEventListener("dashboard", (event) => {
        told = Date.now();
        show(event.data);
        mark("events");
    });
}

async function ask(url) {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(2000) });
    // Without redis there are no counters, but there is a page that says so; other errors are not webui's.
    if (!answer.ok && !(url === "json" && answer.status === 503)) throw new Error(answer.statusText);
    if (answer.ok) answered = Date.now();
    return answer;
}

async function poll() {
    if (busy) return;
    busy = true;
    try {
        const answer = await ask("json");
        if (answer.ok) {
            const { hashes, coins } = await answer.json();
            write("hashes", hashes ?? 0);
            write("coins", coins);
        }
        if (!answer.ok) polls = 0;
        if (!answer.ok || polls++ % 5 === 0) show(await (await ask("fragment")).text());
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
        const age = Math.round((Date.now() - answered) / 1000);
        const ago = age < 120 ? `${age} s` : `${Math.floor(age / 60)} min`;
        notice.innerHTML = `<strong>Connection lost ${ago} ago.</strong> These are the last numbers received.`;
    }
    main.classList.toggle("stale", lost);
    // Screen readers hear what is wrong once, not the seconds that pass, and when it is over.
    const wrong = lost ? "Connection lost." : (notice?.querySelector("strong")?.textContent ?? "");
    const news = wrong || (spoken.textContent && "The numbers are fresh again.");
    if (spoken.textContent !== news) spoken.textContent = news;
}

// A hidden tab neither listens nor asks; browsers grant few connections to all tabs together.
function tick() {
    if (document.hidden) return;
    const now = Date.now();
    const since = now - Math.max(opened, told);
    if (!source || since > (source.readyState === EventSource.CLOSED ? SILENCE : REOPEN)) open();
    if (now - Math.max(told, shown) > SILENCE) poll();
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
let moment = null; // the time that the cursor shows, in seconds since the Unix epoch

// The points of a path, [time, speed up to there], from its absolute and then relative numbers.
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
    if (pointer !== null) moment = now - SPAN * (1 - pointer);
    if (moment !== null) moment = Math.min(Math.max(moment, now - SPAN), now);
    line.setAttribute("visibility", moment === null ? "hidden" : "visible");
    text.textContent = "";
    if (moment === null) return;

    const bands = [...root.querySelectorAll("path.line")];
    const far = (point) => Math.abs(point[0] - moment);
    const speeds = bands.map((band) => {
        const near = points(band, now, top).reduce((a, b) => (far(b) < far(a) ? b : a), [Infinity, 0]);
        return far(near) <= 4 ? near[1] : null;
    });
    // A version that does nothing has no line; the one below it is its edge.
    speeds.forEach((speed, i) => speeds[i] = speed ?? speeds[i - 1] ?? null);
    const x = `${100 - ((now - moment) / SPAN) * 100}%`;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    const round = (speed) => (speed < 99.95 ? speed.toFixed(1) : Math.round(speed).toLocaleString("en"));
    const total = speeds.at(-1) ?? null;
    let words = `${new Date(moment * 1000).toLocaleTimeString()} · `;
    words += total === null ? "no reading" : `${round(total)} hashes per second`;
    if (total !== null && bands.length > 1) {
        const parts = bands.map((band, i) => `${band.dataset.name} ${round(Math.max(0, speeds[i] - (speeds[i - 1] ?? 0)))}`);
        words += ` · ${parts.reverse().join(", ")}`;
    }
    text.textContent = words;
    chart.setAttribute("aria-valuenow", Math.round(moment - now));
    chart.setAttribute("aria-valuetext", words);
}

function place(event) {
    const box = main.querySelector("#chart > svg")?.getBoundingClientRect();
    if (!box || !event.target.closest?.("#chart")) return;
    pointer = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    drawCursor(main);
}

function leave(event) {
    // A finger that is lifted leaves the cursor where it is.
    if (event.type === "focusout" || event.pointerType === "mouse") moment = null;
    pointer = null;
    drawCursor(main);
}

function key(event) {
    const chart = event.target.closest("#chart");
    if (!chart || event.ctrlKey || event.altKey || event.metaKey) return;
    const now = Number(chart.dataset.now);
    const from = moment ?? now;
    const to = {
        ArrowLeft: from - 2, ArrowDown: from - 2, ArrowRight: from + 2, ArrowUp: from + 2,
        PageDown: from - 30, PageUp: from + 30, Home: now - SPAN, End: now, Escape: null,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    pointer = null;
    moment = to;
    drawCursor(main);
}

main.addEventListener("pointerdown", place);
main.addEventListener("pointermove", place);
main.addEventListener("pointerout", (event) => {
    if (event.target.closest("#chart") && !event.relatedTarget?.closest?.("#chart")) leave(event);
});
main.addEventListener("focusin", (event) => {
    if (event.target.id !== "chart" || pointer !== null) return;
    moment = Number(event.target.dataset.now);
    drawCursor(main);
});
main.addEventListener("keydown", key);
main.addEventListener("focusout", (event) => event.target.id === "chart" && leave(event));
