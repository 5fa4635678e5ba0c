#!/usr/bin/env bash
# Tests scripts/labs with small pages.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh
set -m  # A signal to a lab must reach its commands.

export LABS=$scratch/pages
mkdir "$LABS"
# page NAME NEED: writes a page with the blocks and promises on standard input, in which ' stands for a backtick.
page() { { printf '# %s\n\n*Needs %s. A second.*\n\n' "$1" "$2"; tr "'" '`'; } >"$LABS/$1.md"; }
# reports NAME CODE LINE...: tests that the lab ends with this exit code and reports exactly these lines. In these, '
# stands for a backtick, and any fraction of a second for (0.x).
reports() {
  local name=$1 code=$2 actual=0
  shift 2
  scripts/labs run "$name" >"$scratch/output" 2>&1 || actual=$?
  sed -n -e 's/(0\.[0-9]*)/(0.x)/' -e 's/^    \(\(held\|BROKEN\|skipped\): .*\)/\1/p' "$scratch/output" |
    diff <(printf '%s\n' "$@" | tr "'" '`') - && [ $actual = "$code" ] && return
  cat "$scratch/output"
  echo "exit code $actual"
  return 1
}

page 01-forms bash <<'END'
'''sh
units=3
finish() { echo "$units units"; echo "$1 hashes per second"; }
'''
'''text
exit 1
'''
'''sh
finish 3.28
false
'''
> **Expect** 3.0 to 3.5 hashes
> per second.

> **Expect** 3.3 to 9 hashes.
> **Expect** at most 3.28 hashes.
> **Expect** at most 3.2 hashes.
> **Expect** at least 3 hashes.
> **Expect** at least 4 hashes.
> **Expect** exactly 3.28 hashes.
> **Expect** exactly 3 hashes.
> **Expect** '3 units' done.
> **Expect** '4 units' done.
> **Expect** no '4 units' done.
> **Expect** no '3 units' done.
> **Expect** a fast worker.

'''sh
finish -3
'''
> **Expect** at least 0 hashes.

'''sh
true
'''
> **Expect** at least 0 hashes.

'''sh
time sleep 0.1
'''
> **Expect** 0.1 to 5 seconds.
END
check "promises of each form are held and broken" reports forms 1 \
  "held: 3.0 to 3.5 hashes per second. (3.28)" "BROKEN: 3.3 to 9 hashes. (3.28)" \
  "held: at most 3.28 hashes. (3.28)" "BROKEN: at most 3.2 hashes. (3.28)" \
  "held: at least 3 hashes. (3.28)" "BROKEN: at least 4 hashes. (3.28)" \
  "held: exactly 3.28 hashes. (3.28)" "BROKEN: exactly 3 hashes. (3.28)" \
  "held: '3 units' done." "BROKEN: '4 units' done." "held: no '4 units' done." "BROKEN: no '3 units' done." \
  "BROKEN: a fast worker. (not in a form that can be checked)" \
  "BROKEN: at least 0 hashes. (-3)" "BROKEN: at least 0 hashes. (no number)" "held: 0.1 to 5 seconds. (0.x)"

page 02-within bash <<'END'
'''sh
echo $((tries += 1))
'''
> **Expect within 20 s:** at least 3 tries.

'''sh
echo $((more += 1))
'''
> **Expect within 1 s:** at least 99 tries.
> **Expect** '1' in the first one.
END
check "a block is repeated until its promises hold or the time is over" reports 02-within 1 \
  "held: at least 3 tries. (3)" "BROKEN: at least 99 tries. (2)" "BROKEN: '1' in the first one."

page 03-fails bash <<'END'
'''sh
false
true
'''
'''sh
echo 1
'''
> **Expect** 1 to 1 line.

## Clean up
'''sh
touch "$LABS/cleaned"
'''
END
check "a block that fails ends the lab" reports 03-fails 1 "BROKEN: every command of this block succeeds (exit code 1)"
check "Clean up runs after a failure" rm "$LABS/cleaned"

page 04-broken bash <<'END'
'''sh
sleep 600 &
echo 2
'''
> **Expect** 1 to 1 line.

'''sh
touch "$LABS/started"
[ -e "$LABS/go" ] || sleep 600
'''

## Clean up
'''sh
echo $! >"$LABS/cleaned"
'''
END
touch "$LABS/go"
check "a broken promise does not end the lab" reports 04-broken 1 "BROKEN: 1 to 1 line. (2)"
check "Clean up runs after a broken promise" test -s "$LABS/cleaned"
check "background jobs end with the lab" within 5 sh -c "! kill -0 $(cat "$LABS/cleaned") 2>/dev/null"
interrupted() {
  rm -f "$LABS"/{go,started,cleaned}
  scripts/labs run 04-broken >"$scratch/output" 2>&1 &
  within 10 test -e "$LABS/started" && kill -- "-$!"
  wait $!
  [ $? = 130 ] && [ -s "$LABS/cleaned" ] && return
  cat "$scratch/output"
  return 1
}
check "Clean up runs after a signal" interrupted

page 04-nothing bash <<'END'
'''sh
echo 1
'''
END
check "a lab without promises does not hold" reports 04-nothing 1 "BROKEN: the lab starts"

page 05-cluster "bash, a cluster" <<'END'
'''sh
echo 1
'''
> **Expect** 1 to 1 line.
END
KUBECONFIG=/dev/null check "a lab without a cluster is skipped" reports 05-cluster 77 "skipped: needs a cluster"
page 06-command "bash, no-such-command (package none)" <"$LABS/05-cluster.md"
check "a lab without a command is skipped" reports 06-command 77 "skipped: needs no-such-command"
# says NAME LINE: tests that the runner prints a line that matches.
says() { scripts/labs run "$1" 2>&1 | grep -qx "$2"; }
check "an unknown name is reported" says none "no lab has the name none; scripts/labs list shows all"

page 07-port Docker </dev/null
# If this fails, something else uses the port.
start port -p 127.0.0.1:8001:80 "$REGISTRY/rng:$TAG" 2>/dev/null
check "a lab does not start if a port is in use" says 07-port \
  "port 800[0-2] is in use: stop the application with docker-compose down, or use --isolated"
[ $failures = 0 ]
