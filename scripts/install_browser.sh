#!/bin/bash
# Install Chromium for tests/browser unless there is a browser. If it cannot be installed, the tests report it.
set -euo pipefail

for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
  if command -v "$name" > /dev/null; then exit 0; fi
done
if [[ $(id -u) -eq 0 ]] && command -v apt-get > /dev/null; then
  echo "Installing Chromium ..."
  { apt-get update && apt-get install --yes --no-install-recommends chromium; } > /dev/null ||
    echo "Chromium could not be installed; tests/browser will fail. Install it: apt-get install chromium" >&2
else
  echo "No browser found; tests/browser will fail. Install Chromium, as root: apt-get install chromium" >&2
fi
