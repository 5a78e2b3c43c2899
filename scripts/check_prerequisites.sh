#!/bin/sh
# Check what has to be installed before `make` installs anything. Usage: check_prerequisites.sh PYTHON [terraform|tofu]
# Exits with 2 and a remedy for everything that is missing.
cd "$(dirname "$0")/.." || exit 2
python=$1
status=0

# problem WHAT REMEDY
problem() {
  echo "error: $1 $2" >&2
  status=2
}

# is_older VERSION LEAST: whether a version such as 1.8.5 is lower than 1.9.0
is_older() {
  awk -v version="$1" -v least="$2" 'BEGIN {
    split(version, a, "."); split(least, b, ".")
    for (i = 1; i <= 3; i++) { if (a[i] + 0 != b[i] + 0) exit !(a[i] + 0 < b[i] + 0) }
    exit 1
  }'
}

another="Install it, or name another one: make PYTHON=python3.12 ..."
if ! command -v "$python" > /dev/null; then
  problem "Python 3.11 or newer is needed; $python is not installed." "$another"
elif ! version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2> /dev/null); then
  problem "$python does not run." "$another"
elif is_older "$version" 3.11.0; then
  problem "Python 3.11 or newer is needed; $python is Python $version." "$another"
elif ! "$python" -c 'import ensurepip, ssl, venv' 2> /dev/null; then
  problem "$python cannot create virtual environments." \
    "On Debian and Ubuntu: apt-get install python${version%.*}-venv"
fi

if [ -n "$2" ]; then
  least=$(sed -n 's/.*required_version *= *">= *\([0-9.]*\).*/\1/p' terraform/versions.tf)
  case "${2##*/}" in
    *tofu*) title=OpenTofu remedy="Install it: https://opentofu.org/docs/intro/install/" ;;
    *) title=Terraform remedy="Install it: https://developer.hashicorp.com/terraform/install, or OpenTofu and TF=tofu" ;;
  esac
  if ! command -v "$2" > /dev/null; then
    problem "$title $least or newer is needed; $2 is not installed." "$remedy"
  else
    version=$(CHECKPOINT_DISABLE=1 "$2" version 2> /dev/null | sed -n 's/^[A-Za-z]* v\([0-9.]*\).*/\1/p' | head -n 1)
    if [ -z "$version" ]; then
      problem "$title $least or newer is needed; $(command -v "$2") does not print its version." "$remedy"
    elif is_older "$version" "$least"; then
      problem "$title $least or newer is needed; $(command -v "$2") is $version." "$remedy"
    fi
  fi
fi
exit "$status"
