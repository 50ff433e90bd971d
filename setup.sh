#!/bin/sh
# Builds .venv from requirements.lock. Does nothing where that is done; an interrupted set-up goes on where it was.
# `setup.sh lock` then compiles requirements.txt into requirements.lock.
set -eu
cd "$(dirname "$0")"
UV_VERSION=0.13.9

# The set-up is done when .venv/.ready holds this folder (scripts in .venv/bin name it) and this lock.
wanted() { pwd && cat requirements.lock; }
ready() { [ -x .venv/bin/python ] && [ -f .venv/.ready ] && wanted | cmp -s - .venv/.ready; }

# uv does not read pip's settings: where pip has been told about indexes, uv is told as well.
pip_setting() { .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true; }
index_options() {
    index=${PIP_INDEX_URL:-$(pip_setting index-url)}
    [ -z "$index" ] || printf -- '--default-index %s ' "$index"
    extra=${PIP_EXTRA_INDEX_URL:-$(pip_setting extra-index-url)}
    [ -z "$extra" ] || printf -- '--index-strategy unsafe-best-match ' # as pip does: all indexes are equal
    for url in $extra; do
        printf -- '--index %s ' "$url"
    done
}
find_links_options() {
    for place in ${PIP_FIND_LINKS:-$(pip_setting find-links)}; do
        printf -- '--find-links %s ' "$place"
    done
}

# The lock lists no CUDA packages: they come along with the torch wheel that needs them. No --find-links, so that
# torch gets no local version label.
lock() {
    set -- $(index_options) --universal --python-version 3.11 --no-header --quiet --output-file requirements.lock
    .venv/bin/uv pip compile requirements.txt "$@" >/dev/null
    for name in $(sed -n 's/^\(nvidia-[a-z0-9-]*\|cuda-[a-z0-9-]*\|triton\)==.*/\1/p' requirements.lock); do
        set -- "$@" --no-emit-package "$name"
    done
    .venv/bin/uv pip compile requirements.txt "$@" >/dev/null
    echo "setup: requirements.lock is compiled; 'make setup' installs it"
}

if ready; then
    [ "${1:-}" != lock ] || lock
    exit 0
fi

# ---- Python: the one of PYTHON, else the first that fits
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
fits() { case "$1" in 3.11 | 3.12 | 3.13 | 3.14) true ;; *) false ;; esac }

python="" found=""
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    version=$(version_of "$candidate") || continue
    found="$found $candidate ($version)"
    if fits "$version"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: Python 3.11, 3.12, 3.13 or 3.14 is needed; found:${found:- none}. Install one, or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "setup: $python cannot make a virtual environment (no venv or ensurepip); on Debian and Ubuntu: apt install python$version-venv" >&2
    exit 1
fi

# ---- .venv, with a pinned uv
if [ "$(version_of .venv/bin/python || true)" != "$version" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1 ||
    { [ -f .venv/.ready ] && [ "$(head -n 1 .venv/.ready)" != "$(pwd)" ]; }; then
    echo "setup: creating .venv with $python ($version)"
    "$python" -m venv --clear .venv
fi
rm -f .venv/.ready
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d ' ' -f 2)" != "$UV_VERSION" ]; then
    echo "setup: installing uv $UV_VERSION"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
fi

# ---- the locked packages
echo "setup: installing $(grep -c '^[a-z0-9].*==' requirements.lock) packages of requirements.lock (the first time takes some minutes)"
# `install`, not `sync`: a CUDA build of torch brings packages along that the lock does not list.
.venv/bin/uv pip install --python .venv/bin/python $(index_options) $(find_links_options) --compile-bytecode -r requirements.lock

wanted >.venv/.ready
echo "setup: done"
[ "${1:-}" != lock ] || lock
