#!/bin/bash
# Install the programs that tests need: Chromium, PgBouncer, and Tesseract for OCR. Only the tests of OCR are skipped without
# their program.
set -euo pipefail

# install PACKAGE NAME...: install a package unless there is a program of one of these names
install() {
  local package=$1 name
  shift
  for name in "$@"; do
    if command -v "$name" > /dev/null; then return; fi
  done
  if [[ $(id -u) -eq 0 ]] && command -v apt-get > /dev/null; then
    echo "Installing $package ..."
    { apt-get update && apt-get install --yes --no-install-recommends "$package"; } > /dev/null ||
      echo "$package could not be installed, so some tests cannot run. Install it: apt-get install $package" >&2
  else
    echo "$package was not found, so some tests cannot run. Install it, as root: apt-get install $package" >&2
  fi
}

install chromium chromium chromium-browser google-chrome google-chrome-stable chrome
install pgbouncer pgbouncer
install tesseract-ocr tesseract
