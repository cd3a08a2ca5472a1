#!/bin/sh
# Says which tools are missing, and where they come from. Everything else the project installs itself.
missing=0

need() { # name, what it is for, how to get it
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "missing: $1 ($2). $3" >&2
        missing=1
        return 1
    fi
}

at_least() { # name, version found, version needed, how to get it
    newest=$(printf '%s\n%s\n' "$2" "$3" | sort -V | tail -n 1)
    if [ "$newest" != "$2" ]; then
        echo "too old: $1 is $2, $3 or newer is needed. $4" >&2
        missing=1
    fi
}

need git "records the commit of every run" "Install it with your system's packages."
if need cargo "builds Lathe" "Install Rust with rustup (https://rustup.rs)."; then
    at_least cargo "$(cargo --version | cut -d' ' -f2)" 1.92.0 "Run: rustup update"
fi
need cc "links Lathe and compiles SQLite" "Install gcc or clang (Debian: build-essential)."
if need python3 "runs the example's stages" "Install Python 3.11 or newer."; then
    at_least python3 "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3.11 "Install a newer Python."
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo "missing: Python's venv module (keeps packages apart). Install python3-venv." >&2
        missing=1
    fi
fi
if need node "builds the web page" "Install Node.js 20.19 or newer (https://nodejs.org)."; then
    at_least node "$(node --version | tr -d v)" 20.19.0 "Install a newer one (https://nodejs.org)."
fi
need npm "builds the web page" "It comes with Node.js."
exit $missing
