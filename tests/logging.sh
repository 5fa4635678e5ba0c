#!/usr/bin/env bash
# Tests that the services send their logs as GELF messages.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/compose.sh
command -v python3 >/dev/null || skip "no Python"

cleanup() {
  [ -z "${server:-}" ] || kill "$server"
  compose_down
  remove_all
}

: >"$scratch/messages"
# Prints its port, then each message.
python3 -u -c '
import json, socket, zlib
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
print(server.getsockname()[1])
while True:
    message = json.loads(zlib.decompress(server.recv(65536), wbits=47))
    print(message["_container_name"], message["short_message"])' >>"$scratch/messages" &
server=$!
listens() { grep -q . "$scratch/messages"; }
received() { grep -q -- "$1" "$scratch/messages"; }

check "a server for GELF starts" within 10 listens
GELF_ADDRESS=udp://127.0.0.1:$(head -n 1 "$scratch/messages")
export GELF_ADDRESS
check "the application starts" quiet "${compose[@]}" -f docker-compose.logging.yml up -d --no-build
check "messages of the worker arrive" within 30 received "worker.* units of work done"
check "messages of rng arrive" within 10 received 'rng.*"GET /32 HTTP/1.1" 200'
check "messages of redis arrive" within 10 received "redis.*Ready to accept connections"
[ $failures = 0 ]
