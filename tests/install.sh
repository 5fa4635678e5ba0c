#!/usr/bin/env bash
# Tests scripts/install-packages with stubs of apt-get and sudo, so that nothing is installed.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh

mkdir "$scratch/bin"
cat >"$scratch/bin/apt-get" <<'END'
#!/usr/bin/env bash
echo "$*" >>"$LOG"
if [[ $* == *update* ]] && [ "$(grep -c update "$LOG")" -le "$BUSY" ]; then
  echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)" >&2
  exit 100
fi
if [[ $* == *no-such-package* ]]; then
  echo "E: Unable to locate package no-such-package" >&2
  exit 100
fi
END
printf '#!/bin/sh\nshift\nexec "$@"\n' >"$scratch/bin/sudo"
chmod +x "$scratch"/bin/*

# installs BUSY PACKAGE: installs while the package lists are locked for the first BUSY attempts.
installs() {
  rm -f "$scratch/log"
  BUSY=$1 LOG=$scratch/log LOCK_TIMEOUT=60 PATH=$scratch/bin:$PATH scripts/install-packages "$2" >"$scratch/output" 2>&1
}
waits_for_the_lock() {
  installs 2 hello && grep -q "another program uses the package manager" "$scratch/output" &&
    grep -q "DPkg::Lock::Timeout=60 install .*hello" "$scratch/log"
}
shows_the_error() { ! installs 0 no-such-package && grep -q "Unable to locate package" "$scratch/output"; }

check "a package is installed" installs 0 hello
check "installing waits for the lock of the package manager" waits_for_the_lock
check "an error is shown" shows_the_error
[ $failures = 0 ]
