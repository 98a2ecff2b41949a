#!/usr/bin/env bash
# The one test command: builds the wheel from the sdist, installs that wheel into
# a fresh environment, and tests it there, on both backends.
#
#   bash tests/run.sh            everything but the tiers sanitized-kernel and python-kernel (a quarter of an hour each), of
#                                which it takes a part
#   bash tests/run.sh unit       some tiers: packaging unit property typing native kernel sanitized vm sanitized-kernel
#                                python-kernel
#
# PYTHON names the interpreter.  CI=true turns what could not run into a failure.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
python=${PYTHON:-python3}
usual=(packaging unit property typing native kernel sanitized vm)
all=("${usual[@]}" sanitized-kernel python-kernel)
tiers=("$@")
[ ${#tiers[@]} -gt 0 ] || tiers=("${usual[@]}")
for tier in "${tiers[@]}"; do
    [[ " ${all[*]} " == *" $tier "* ]] || { echo "unknown tier '$tier': must be one of ${all[*]}" >&2; exit 2; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Level 2 hides pip's warnings about the configuration of this machine.
export CGROUPS_REQUIRE_NATIVE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=2
say() { printf '\n== %s\n' "$*"; }

# What the tiers need besides Python: Debian has it, and other systems bring their own.  clang and
# musl-gcc build the extension once more, strace counts system calls, tmux shows the full screen; the rest is for the virtual machines.
packages=()
wants() { [[ " ${tiers[*]} " == *" $1 "* ]]; }
(wants packaging || wants native) && ! command -v clang >/dev/null && packages+=(clang)
wants native && ! command -v musl-gcc >/dev/null && packages+=(musl-tools)
(wants kernel || wants vm) && ! command -v strace >/dev/null && packages+=(strace)
(wants kernel || wants vm) && ! command -v tmux >/dev/null && packages+=(tmux)
if wants vm; then
    command -v qemu-system-x86_64 >/dev/null || packages+=(qemu-system-x86)
    command -v busybox >/dev/null || packages+=(busybox-static)
    command -v mke2fs >/dev/null || packages+=(e2fsprogs)
    command -v mmdebstrap >/dev/null || packages+=(mmdebstrap)
    compgen -G '/boot/vmlinuz-6.1.*' >/dev/null || packages+=(linux-image-amd64)
    compgen -G '/boot/vmlinuz-6.12.*' >/dev/null || packages+=(linux-image-6.12-amd64)
fi
install_packages() {
    [ $# -gt 0 ] && [ "$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release || return 0
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
install_packages "${packages[@]}"
# Prometheus is unpacked, not installed: the package would start a server.
if wants kernel && ! command -v promtool >/dev/null && [ "$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; then
    say "unpacking prometheus"
    (cd "$work" && apt-get update -qq && apt-get download -qq prometheus && dpkg -x prometheus_*.deb prometheus)
    export PATH="$PATH:$work/prometheus/usr/bin"
fi

# clang's sanitizers are a package of their own, whose name has clang's version.
has_sanitizers() { echo 'int main(void) { return 0; }' | clang -fsanitize=address,undefined -x c - -o /dev/null 2>/dev/null; }
if wants native && command -v clang >/dev/null && ! has_sanitizers; then
    install_packages "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
fi

say "building"
"$python" -m venv "$work/build"
"$work/build/bin/pip" install -q build
CGROUPS_CFLAGS="-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers ${CI:+-Werror}" \
    "$work/build/bin/python" -m build -q --outdir "$work/dist" "$checkout"
ls "$work/dist"

say "installing the wheel"
"$python" -m venv "$work/venv"
wheel=("$work"/dist/*.whl)
"$work/venv/bin/pip" install -q "${wheel[0]}[cli,numpy,arrow,plot,systemd,prometheus,otel,tui,test]"
export CGROUPS_DIST="$work/dist" PATH="$work/venv/bin:$PATH"

# The extension once more with the sanitizers of the address and of undefined behaviour, of which any finding ends
# the program; -O1 keeps its frames apart in a report.
if wants sanitized || wants sanitized-kernel; then
    say "building with sanitizers"
    flags="-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g -fno-omit-frame-pointer"
    CC=gcc CGROUPS_CFLAGS="$flags" LDFLAGS="$flags" \
        "$work/venv/bin/pip" install -q --no-deps --no-cache-dir --target "$work/sanitized" "$work"/dist/*.tar.gz
fi

if wants vm; then
    "$python" -m venv "$work/vng"
    "$work/vng/bin/pip" install -q virtme-ng
    export PATH="$PATH:$work/vng/bin"
fi

# From an empty directory: neither Python nor a test may take the checkout for the package.
mkdir "$work/empty"
cd "$work/empty"
failed=0

say "style and types"
ruff check "$checkout" || failed=1
ruff format --check "$checkout" || failed=1
(cd "$checkout" && mypy --python-executable "$work/venv/bin/python" --cache-dir "$work/mypy") || failed=1
(cd "$checkout" && lint-imports --no-cache) || failed=1
python "$checkout/.ci/prose" || failed=1

# The guide and the API reference as a site, in an environment of its own: the tests must not see its packages.
documents() {
    say "documents"
    "$python" -m venv "$work/docs"
    "$work/docs/bin/pip" install -q "${wheel[0]}[cli,prometheus,otel,docs]"
    "$work/docs/bin/python" "$checkout/.ci/docs/pages.py" "$work/site/source" &&
        "$work/docs/bin/sphinx-build" -q -E -W --keep-going -c "$checkout/.ci/docs" "$work/site/source" "$work/site/html"
}
! wants packaging || documents || failed=1

run() { # backend, tiers or modules, options
    local backend=$1 word words=() options=()
    shift
    [ $# -gt 0 ] || return 0
    for word in "$@"; do
        case $word in -*) options+=("$word") ;; *) words+=("$word") ;; esac
    done
    say "$backend backend: ${words[*]}"
    CGROUPS_BACKEND=$backend PYTHONDEVMODE=${PYTHONDEVMODE-1} python -m pytest -c "$checkout/pyproject.toml" --rootdir "$checkout" \
        -o cache_dir="$work/cache-$backend" -q "${options[@]}" "${words[@]/#/$here/}"
}

# What calls C, all in processes that have the sanitizers' run-time library from their start, and, as most systems have,
# 1024 descriptors.  Leaks are not looked for: CPython keeps much to its end.
sanitized() { # tiers
    [ $# -gt 0 ] || return 0
    (
        ulimit -Sn 1024
        # The C++ library too, or the sanitizer knows nothing of the exceptions of others, such as pyarrow's.
        LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so.6)"
        export LD_PRELOAD PYTHONPATH="$work/sanitized" PYTHONMALLOC=malloc PYTHONDEVMODE= HYPOTHESIS_PROFILE=dev
        # An allocation that is too large is Python's MemoryError.
        export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
        export CGROUPS_TESTS_SCALE=0.2  # fewer rounds, and more time for each
        unset CGROUPS_DIST
        say "with sanitizers"
        run native "$@"
    )
}

# Only those of the tiers that were asked for.
asked() {
    local tier
    for tier in "$@"; do
        ! wants "$tier" || printf '%s ' "$tier"
    done
}

# Modules that differ between the backends in nothing: they read through none, or show what others have read.
alike=(cli* charts export* guide_pages identity layout messages naming plain_limits process_tree recorded_files screen* seconds
    systemd vitals watching)
unlike() { # tiers: the words for pytest
    [ $# -gt 0 ] || return 0
    printf '%s ' "$@" $(printf -- "--ignore-glob=$here/unit/test_%s.py " "${alike[@]}")
}

# Of the kernel's tests, those in which a backend reads, starts a child or scans mounts.
readers=(aio capacity every_file events excepted_files export following hierarchy namespaces parameters passing sampler seed
    spawning threads translated_readings translation v2 writing)
# Those of descriptors, threads, forks and starts.
of_c=(recorder sampler spawning threads following namespaces)
modules() { printf 'kernel/test_%s.py ' "$@"; }

# Two at a time, of which at most one makes cgroups: each looks at what the whole machine has.  Guests keep all
# processors busy, and come last.
beside() { # a function with what is printed later, and one that prints at once
    "$1" >"$work/beside.log" 2>&1 &
    "$2" || failed=1
    wait $! || failed=1
    cat "$work/beside.log"
}
first() { run native $(asked packaging unit property typing native); }
kernel() { run native $(asked kernel); }
second() {
    local status=0
    ! wants unit || run python $(unlike unit) || status=1
    ! wants sanitized || sanitized $(unlike unit) property || status=1
    return $status
}
again() {
    local status=0
    if wants python-kernel; then
        run python kernel || status=1
    elif wants kernel; then
        run python $(modules "${readers[@]}") || status=1
    fi
    if wants sanitized-kernel; then
        sanitized kernel || status=1
    elif wants sanitized; then
        sanitized $(modules "${of_c[@]}") || status=1
    fi
    return $status
}
beside first kernel
beside second again
run native $(asked vm) || failed=1

[ $failed = 0 ] && say "all of it passed" || { say "FAILED"; exit 1; }
