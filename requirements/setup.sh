#!/bin/sh
# Set segue up: system packages, .venv, torch, the kernel. Usage: requirements/setup.sh [base|test|bench]
#
#   base   what `segue run` and `segue demo` need
#   test   base, and what `make test` needs
#   bench  test, and the peers and players that `segue bench` and `segue gig` measure against
#
# TORCH=cpu (default), cuda, rocm, or any backend that `uv --torch-backend` knows. PYTHON names the
# interpreter to use. Safe to run again: what is there already is left alone.
set -eu

cd "$(dirname "$0")/.."
level=${1:-base}
torch=${TORCH:-cpu}

say() { printf 'setup: %s\n' "$*" >&2; }
stop() {
    say "$*"
    exit 1
}

case $level in base | test | bench) ;; *) stop "found '$level', expected base, test or bench" ;; esac

# --- Python -----------------------------------------------------------------------------------

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
    stop "found $found, expected Python 3.11 or newer. Install one, or name it: PYTHON=python3.12 make setup"
fi

# --- System packages --------------------------------------------------------------------------
# Each is asked for by what it brings, so that a hand-built JACK or another distribution counts too.

missing=
need() { # need PACKAGE test...
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
library() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -qF "$1"; }
command_there() { command -v "$1"; }
either_file() { [ -e "$1" ] || [ -e "$2" ]; }
first_known() { # the first of these names that apt knows, else the first
    for name in "$@"; do
        if apt-cache show "$name" 2>/dev/null | grep -q '^Package:'; then
            echo "$name"
            return
        fi
    done
    echo "$1"
}

needs() {
    missing=
    need libportaudio2 library libportaudio.so.2
    need gcc command_there cc
    need libc6-dev test -e /usr/include/stdlib.h
    need python3-dev "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
    need python3-venv "$python" -c 'import ensurepip, venv'
    need timgm6mb-soundfont either_file /usr/share/sounds/sf2/TimGM6mb.sf2 /usr/share/soundfonts/TimGM6mb.sf2
    need libjack-jackd2-0 library libjack.so.0
    [ "$level" = base ] && return
    need jackd2 command_there jackd
    need libjack-jackd2-dev test -e /usr/include/jack/jack.h
    # Debian 12 has jack_iodelay in jackd2; later ones and Ubuntu in jack-example-tools.
    need "$(first_known jack-example-tools jackd2)" command_there jack_iodelay
    need sox command_there sox
    need systemd command_there systemd-analyze
    # For the test of the pads' page, which is left out without it (Ubuntu has no such package).
    if apt-cache show chromium 2>/dev/null | grep -q '^Package:'; then
        need chromium command_there chromium
    fi
    [ "$level" = test ] && return
    need supercollider-server command_there scsynth
    need ecasound command_there ecasound
    need mpv command_there mpv
    music=$(first_known wesnoth-1.18-music wesnoth-1.16-music)
    need "$music" dpkg -s "$music"
}

install_packages() {
    needs || true
    [ -z "$missing" ] && return
    if ! command -v apt-get >/dev/null; then
        stop "missing:$missing (names as in Debian). Install what your system calls them, then again."
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "system packages are missing. Run this, then the same command again:"
        printf '\n    sudo apt-get install --no-install-recommends%s\n\n' "$missing" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    say "updating the list of packages"
    apt-get update -qq
    needs || true # names may be better known now
    # shellcheck disable=SC2086 # a list of names
    bytes=$(apt-get install -y --no-install-recommends --print-uris -qq $missing |
        awk '{ sum += $3 } END { printf "%.0f", sum / 1e6 }')
    say "installing$missing: ${bytes:-0} MB to download"
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends -qq $missing >/dev/null
    needs || true
    [ -z "$missing" ] || stop "still missing after the installation:$missing"
}

install_packages

# --- The environment --------------------------------------------------------------------------

if [ -x .venv/bin/python ] && ! new_enough .venv/bin/python; then
    stop "found $(.venv/bin/python --version) in .venv, expected 3.11 or newer. Remove .venv, then again."
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip() { .venv/bin/python -m pip "$@"; }
pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
if ! [ -x .venv/bin/uv ]; then
    say "installing uv: 18 MB to download"
    pip install --quiet --disable-pip-version-check 'uv>=0.9'
fi

# --- torch --------------------------------------------------------------------------------------
# uv does not read pip's configuration. Where that names a place that holds a CPU build of torch for
# this Python, uv is given the same place and exactly that version: no newer one with CUDA gets in.

torch_in_find_links() { # print the place and the version
    tag=$(.venv/bin/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    pip config list | sed -n "s/^[^=]*find-links='\(.*\)'\$/\1/p" | sed 's/\\n/ /g' |
        tr ' ' '\n' | while read -r place; do
        place=${place#file://}
        for wheel in "$place"/torch-*+cpu-"$tag"-*"$(uname -m)".whl; do
            [ -e "$wheel" ] || continue
            version=${wheel##*/torch-}
            printf '%s %s\n' "$place" "${version%%-*}"
        done
    done | sort -V -k2 | tail -n 1
}

limits=.venv/torch-version.txt
: >"$limits"
case $torch in
    cpu)
        held=$(torch_in_find_links)
        if [ -n "$held" ]; then
            UV_FIND_LINKS=${held% *}
            export UV_FIND_LINKS
            echo "torch==${held#* }" >"$limits"
            set -- # no other backend
            size="160 MB, and torch (192 MB) from pip's find-links"
        else
            set -- --torch-backend cpu
            size="350 MB, of it torch 192 MB"
        fi
        ;;
    cuda)
        set -- --torch-backend cu130
        size="2.9 GB, of it torch and CUDA 2.7 GB"
        ;;
    rocm)
        set -- --torch-backend rocm7.2
        size="several GB for torch and ROCm (not measured), and 160 MB"
        ;;
    *)
        set -- --torch-backend "$torch"
        size="160 MB, and torch for $torch (not measured)"
        ;;
esac

set -- pip install --python .venv/bin/python --override requirements/overrides.txt \
    --constraint "$limits" "$@" --reinstall-package segue --editable '.[dev]'
if .venv/bin/uv "$@" --dry-run 2>&1 | grep '^Would download' | grep -qv 'download 1 package$'; then
    say "installing Python packages: about $size to download at most"
fi
.venv/bin/uv "$@" --quiet
.venv/bin/python -c 'import torch; print("setup: torch", torch.__version__)' >&2
say "done"
