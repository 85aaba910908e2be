#!/usr/bin/env bash
# Installs the peers that the training benchmark is measured against: PyTorch on the CPU, from Debian.
set -euo pipefail
if /usr/bin/python3 -c 'import torch' 2>/dev/null; then exit 0; fi
run() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
run apt-get update -qq
run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends python3-torch libopenblas0 >/dev/null
/usr/bin/python3 -c 'import torch; print("torch", torch.__version__)'
