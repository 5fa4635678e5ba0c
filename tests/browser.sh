#!/usr/bin/env bash
# Opens the dashboard of the running application in a real browser.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/dashboard.sh

# One hash in sixteen is a coin.
mines() { curl -fs "${url}json" | grep -Eq '"coins":[1-9]'; }
opens() { browse --enable-logging=stderr --virtual-time-budget=5000 --dump-dom >"$scratch/page" 2>"$scratch/console"; }
shows() { tr -d '\n' <"$scratch/page" | grep -Eq "<dt>$1</dt> *<dd>[1-9]"; }
updates() { grep -q '"GET /fragment HTTP/1.1" 200' "$scratch/log"; }
no_complaint() { ! grep CONSOLE "$scratch/console"; }
stops() {
  kill -INT "$dockercoins" && wait "$dockercoins" && tail -n 3 "$scratch/log"
}

# Long enough for a speed.
sleep 10
check "it mines" within 120 mines
check "the page opens" opens
check "the page shows hashes" shows Hashes
check "the page shows coins" shows "Coins found"
check "the page shows a speed" shows Speed
check "the page asks for news" updates
check "the browser has nothing to complain about" no_complaint
check "Ctrl-C ends it" stops
if [ $failures -gt 0 ]; then tail -n 20 "$scratch/log" "$scratch/console"; fi
[ $failures = 0 ]
