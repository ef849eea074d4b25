#!/usr/bin/env bash
# Draws docs/demo.svg: runs `ralph demo` on a terminal of its own and writes down what its screen shows in the end.
# Needs cargo, git and python3; no network. Names of folders and commits are made the same each time.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --release --locked --bin ralph
python3 docs/demo_picture.py "${CARGO_TARGET_DIR:-target}/release/ralph" docs/demo.svg
