#!/bin/sh
# Checks Python and Node, creates the virtual environment, installs the pinned packages of both.
# Repeated only after a change: .local/ready holds the checksums of the lists.
set -eu
unset CDPATH # otherwise `cd` may change to another folder
cd -- "$(dirname -- "$0")/.."
here=$(pwd -P)
mark=.game-login # a file in the folders created by this script, with the path of this folder
unfinished=.local/unfinished # the inode of node_modules, while npm fills it and if npm is killed

fail() { echo "setup: $1" >&2; exit 1; }

newest_python() {
    for name in "${PYTHON3:-}" python3.13 python3.12 python3.11 python3; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info)' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

number() { ls -di "$1" | tr -cd 0-9; } # the inode: another folder of the same name has another one

# Succeeds if a folder may be emptied: it is missing, or this script created it, even incompletely.
is_ours() {
    [ ! -L "$1" ] || return 1
    [ -e "$1" ] && [ ! -e "$1/$mark" ] || return 0
    [ "$1" = node_modules ] && [ -s $unfinished ] && [ "$(cat $unfinished)" = "$(number "$1")" ]
}

# `npm ci` removes the mark with everything else, so write it again, even if npm fails.
mark_modules() {
    [ ! -d node_modules ] || printf '%s\n' "$here" >node_modules/$mark
    rm -f $unfinished
}

# After a move, or in a copy, the commands in .venv/bin refer to the Python of the old folder.
repair() {
    [ "$(cat .venv/$mark 2>/dev/null)" != "$here" ] || return 0
    echo "this folder was moved or copied: repairing the commands in .venv/bin"
    .venv/bin/python -m venv --without-pip .venv
    .venv/bin/python local/commands.py
    printf '%s\n' "$here" >.venv/$mark
}

case $here in
*:* | *"
"*) fail "a path with a colon or a line break does not work (Python's venv refuses it): rename $here" ;;
esac

command -v node >/dev/null || fail "Node is missing: install version 20.19, 22.13, 24 or newer, from your package manager or nodejs.org"
node -e 'const [major, minor] = process.versions.node.split(".").map(Number)
    const good = (major === 20 && minor >= 19) || (major === 22 && minor >= 13) || major >= 24
    process.exit(good ? 0 : 1)' ||
    fail "Node $(node --version) is not supported: install version 20.19, 22.13, 24 or newer"

node -e 'require("node:fs").statSync(process.cwd())' 2>/dev/null ||
    fail "Node does not find a folder whose path is not UTF-8: rename $here"

# Earlier versions of this script left no mark. A folder with their packages is ours.
case $(cat .local/ready 2>/dev/null) in
"" | *" marked") ;;
*) for installed in .venv/bin/moto_server node_modules/.bin/serverless; do
    folder=${installed%%/*}
    [ ! -e $installed ] || [ -L $folder ] || printf '%s\n' "$here" >"$folder/$mark"
done ;;
esac

# Prints two checksums: of all that decides what is installed, and of the list of leaked passwords.
state() {
    echo "$(cat requirements.txt requirements-dev.txt package-lock.json local/setup.sh local/leaked_passwords.py \
        auth/credentials/leaked_passwords.py auth/credentials/password_policy.py | cksum)" \
        "$(cat .local/leaked-passwords.bin 2>/dev/null | cksum) marked"
}

if [ "$(cat .local/ready 2>/dev/null)" = "$(state)" ] && [ -e node_modules/.bin/serverless ] &&
    [ -e .local/leaked-passwords.bin ] && .venv/bin/python -c 'import pytest' 2>/dev/null; then
    ! is_ours .venv || repair
    exit 0
fi

python=$(newest_python)
[ -n "$python" ] || fail "Python 3.11 or newer is missing: install it, or name it with PYTHON3=/path/to/python3"
command -v npm >/dev/null || fail "npm is missing: it comes with Node, or as a package of its own named npm"
for folder in .venv node_modules; do
    is_ours $folder || fail "\`make setup\` did not create $folder, so it does not touch it: move it away and run again"
done
mkdir -p .local
echo "Python $("$python" -c 'import platform; print(platform.python_version())'), Node $(node --version | tr -d v)"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1 ||
    ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "creating the virtual environment .venv"
    rm -rf .venv
    mkdir .venv
    printf '%s\n' "$here" >.venv/$mark
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        fail "$python cannot create a virtual environment: on Debian and Ubuntu, run 'apt-get install python3-venv'"
    fi
fi
repair
echo "installing the Python packages"
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-user --require-hashes \
    --only-binary=:all: -r requirements-dev.txt ||
    fail "the Python packages could not be installed: see above. If a package has no wheel for this machine, see the supported machines in docs/run/local.md"
.venv/bin/python local/commands.py # pip's own commands do not start in a folder like 'a "b" $c'
echo "installing the Node packages"
mkdir -p node_modules
number node_modules >$unfinished
trap mark_modules EXIT
trap 'exit 1' HUP INT TERM
# The first three are npm's own defaults, set here so that no ~/.npmrc overrides them.
npm ci --include=dev --bin-links --no-global --no-audit --no-fund --no-update-notifier \
    --loglevel=error || fail "the Node packages could not be installed: see above"
echo "writing the list of leaked passwords"
.venv/bin/python -m local.leaked_passwords || exit 1
state >.local/ready
