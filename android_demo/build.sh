#!/usr/bin/env bash
# Builds and tests the Maven modules: build.sh LOG [arguments of mvn]. Where Java, Maven or Maven
# Central is missing it says so in one line and passes; with CI set it fails.
set -euo pipefail
log=$(realpath -m "$1")
shift
cd "$(dirname "$0")"

left_out() {
    echo "make android: not built, since $1"
    [ -z "${CI:-}" ]
    exit
}

command -v javac > /dev/null || left_out "there is no JDK. Next: apt-get install openjdk-17-jdk-headless"
command -v mvn > /dev/null || left_out "there is no Maven. Next: apt-get install maven"
if ! command -v aapt2 > /dev/null; then
    echo "make android: the app is left out, since there is no aapt2. Next: apt-get install aapt"
    [ -z "${CI:-}" ]
fi
mkdir -p "$(dirname "$log")"
if ! mvn --batch-mode --no-transfer-progress "$@" package > "$log" 2>&1; then
    if grep -qE 'Could not transfer|Cannot access|Unknown host|has not been downloaded from it before' "$log"; then
        left_out "Maven Central can't be reached. What Maven says is in $log"
    fi
    grep -E '^\[?ERROR|Tests run:|FAIL' "$log" | head -60
    exit 1
fi
grep -E 'Tests run:.*Time elapsed|no difference$' "$log" || true
grep -E '^(\[.*\] )?Tests run: [0-9]+, Failures: [0-9]+, Errors: [0-9]+, Skipped: [0-9]+$' "$log"
