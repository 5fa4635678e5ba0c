// Fetches the fragment once a second, and says so plainly when none comes.
const main = document.getElementById("dashboard");
const spoken = document.getElementById("spoken");
let answered = Date.now();
let failed = false;
let busy = false;

async function refresh() {
    if (busy || document.hidden) return;
    busy = true;
    try {
        const answer = await fetch("fragment", { cache: "no-store", signal: AbortSignal.timeout(2000) });
        if (!answer.ok) throw new Error(answer.statusText);
        main.innerHTML = await answer.text();
        answered = Date.now();
        failed = false;
    } catch {
        failed = true;
    }
    busy = false;
    mark();
}

function mark() {
    const notice = main.querySelector(".notice");
    if (!notice) return;
    const age = Math.round((Date.now() - answered) / 1000);
    const lost = failed || age > 3;
    if (lost) {
        const ago = age < 120 ? `${age} s` : `${Math.floor(age / 60)} min`;
        notice.innerHTML = `<strong>Connection lost ${ago} ago.</strong> These are the last numbers received.`;
    }
    main.classList.toggle("stale", lost);
    // Screen readers hear what is wrong once, not the seconds that pass.
    const news = lost ? "Connection lost" : (notice.querySelector("strong")?.textContent ?? "");
    if (spoken.textContent !== news) spoken.textContent = news;
}

function tick() {
    if (document.hidden) return;
    refresh();
    mark();
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", refresh);
