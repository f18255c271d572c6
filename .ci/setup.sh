#!/bin/sh
# Prepare this checkout: Debian packages and the virtual environment .venv, only what is missing.
#
#   .ci/setup.sh demo   what `make demo` needs: ARM compiler, emulator, TensorFlow
#   .ci/setup.sh all    what the whole test suite needs
#   .ci/setup.sh torch  the same, and PyTorch in .venv-torch, an environment over .venv
#
# apt and pip run side by side. A second run with an unchanged pyproject.toml takes no time.
set -eu

level=${1:-all}
case $level in
demo) extras="tf" ;;
all | torch) extras="tf,onnx,dev" ;;
*)
    echo "setup.sh: the level is demo, all or torch, not '$level'" >&2
    exit 2
    ;;
esac
with_torch=no
if [ "$level" = torch ]; then
    level=all
    with_torch=yes
fi
cd "$(dirname "$0")/.."
venv=.venv
python=${PYTHON:-python3}

say() { echo "setup: $*"; }

have() { command -v "$1" >/dev/null 2>&1; }

# The C library of a cross compiler is a package of its own.
has_newlib() {
    have arm-none-eabi-gcc && [ -f "$(arm-none-eabi-gcc -print-file-name=libc.a)" ]
}

# Newer releases split the RISC-V emulators from the rest.
riscv_qemu_package() {
    if apt-cache show qemu-system-riscv 2>/dev/null | grep -q '^Package: qemu-system-riscv$'; then
        echo qemu-system-riscv
    else
        echo qemu-system-misc
    fi
}

missing_packages() {
    have gcc && [ -f /usr/include/stdio.h ] || echo gcc libc6-dev
    has_newlib || echo gcc-arm-none-eabi libnewlib-arm-none-eabi
    have qemu-system-arm || echo qemu-system-arm
    [ "$level" = all ] || return 0
    have clang || echo clang
    have valgrind || echo valgrind libc6-dbg
    have qemu-system-riscv32 || riscv_qemu_package
    have riscv64-unknown-elf-gcc || echo gcc-riscv64-unknown-elf
    have gdb-multiarch || echo gdb-multiarch
    # phones: adb, programs for their cores, and what runs those here
    have aarch64-linux-gnu-gcc || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    have adb || echo adb
    have arm-linux-gnueabihf-gcc || echo gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
    have qemu-aarch64-static || echo qemu-user-static
    # flash tools, whose command lines are tried; no board is needed for that
    have openocd || echo openocd
    have st-flash || echo stlink-tools
    have bossac || echo bossa-cli
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        echo "setup.sh: neither root nor sudo; run this as root: $*" >&2
        return 1
    fi
}

apt_updated=no
apt_install() {
    if ! have apt-get; then
        echo "setup.sh: no apt-get here; install the equivalents of: $*" >&2
        return 1
    fi
    say "installing Debian packages: $*"
    if [ $apt_updated = no ]; then
        as_root apt-get -qq update
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io "$@" >"$log/apt.log" 2>&1 || {
        cat "$log/apt.log" >&2
        echo "setup.sh: apt-get could not install: $*" >&2
        return 1
    }
}

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

make_venv() {
    if ! have "$python" || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3 python3-venv
    fi
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "setup.sh: $("$python" --version) is too old, edgepack needs Python 3.11 or newer" >&2
        echo "next: PYTHON=python3.12 make setup" >&2
        return 1
    fi
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
}

digest=$(sha256sum pyproject.toml | cut -c1-64)
is_stamped() { [ "$(cat "$venv/.edgepack-$1" 2>/dev/null)" = "$digest" ]; }
is_installed() { is_stamped "$level" || is_stamped all; }

pip_install() {
    say "installing Python packages into $venv: edgepack[$extras] (edgepack[tf] is about 2 GB)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        --editable ".[$extras]" >"$log/pip.log" 2>&1 || {
        cat "$log/pip.log" >&2
        echo "setup.sh: pip could not install edgepack[$extras]" >&2
        return 1
    }
    # pip compiles with one core; the files it leaves uncompiled cost TensorFlow 10 s per import.
    # A package may hold a file for another Python version, which does not compile and is not used.
    "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 || true
    echo "$digest" >"$venv/.edgepack-$level"
}

# PyTorch is large, so it is installed only when asked for, beside the packages of .venv. A version
# without a suffix also matches its build for processors, which pip prefers where it is offered.
torch=torch==2.13.0
install_torch() {
    [ "$(cat .venv-torch/.edgepack-torch 2>/dev/null)" = "$torch $digest" ] && return 0
    say "installing $torch into .venv-torch (0.2 GB for processors alone, else about 2 GB)"
    "$venv/bin/python" -m venv .venv-torch
    sites=$(.venv-torch/bin/python -c 'import site; print(site.getsitepackages()[0])')
    "$venv/bin/python" -c 'import site; print(site.getsitepackages()[0])' >"$sites/edgepack.pth"
    pwd >>"$sites/edgepack.pth"
    .venv-torch/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
        "$torch" "onnxscript>=0.5" >"$log/torch.log" 2>&1 || {
        cat "$log/torch.log" >&2
        echo "setup.sh: pip could not install $torch" >&2
        return 1
    }
    .venv-torch/bin/python -m compileall -q -j 0 "$sites" >/dev/null 2>&1 || true
    echo "$torch $digest" >.venv-torch/.edgepack-torch
}

"$venv/bin/python" -c '' 2>/dev/null || make_venv
packages=$(missing_packages | tr '\n' ' ')
apt_pid=
if [ -n "$packages" ]; then
    # shellcheck disable=SC2086 # one word per package
    apt_install $packages &
    apt_pid=$!
fi
status=0
is_installed || pip_install || status=1
if [ -n "$apt_pid" ]; then
    wait "$apt_pid" || status=1
fi
if [ $status = 0 ] && [ $with_torch = yes ]; then
    install_torch || status=1
fi
[ $status = 0 ] && say "ready ($level)"
exit $status
