# shellcheck shell=bash
# Sourced from the root of the repository: starts the release binary on free ports with data of its own,
# sets $url to its page, and offers `browse`.
. tests/lib.sh

chromium=$(command -v chromium || command -v google-chrome) || { echo "no Chromium"; exit 1; }

"${CARGO_TARGET_DIR:-target}/release/dockercoins" --data "$scratch/data" --webui-port 0 --rng-port 0 --hasher-port 0 --admin-port 0 \
  >"$scratch/log" 2>&1 </dev/null &
dockercoins=$!

cleanup() {
  kill -INT "$dockercoins" 2>/dev/null
  wait "$dockercoins"
}

url=
for _ in {1..50}; do
  url=$(grep -om1 'http://localhost:[0-9]*/' "$scratch/log") && break
  sleep 0.1
done
[ -n "$url" ] || { cat "$scratch/log"; echo "no address was printed"; exit 1; }

# browse OPTION...: opens the page with a profile of its own.
browse() {
  timeout 60 "$chromium" --headless --no-sandbox --disable-gpu --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$scratch/profile" "$@" "$url"
}
