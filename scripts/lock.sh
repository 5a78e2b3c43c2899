#!/bin/bash
# Resolve locks/*.in into locks/*.txt: exact versions with hashes, for every supported Python. Usage: lock.sh UV [ARGS]
#
# Locked versions are kept while they meet the requirements; ARGS="--upgrade" takes the newest ones. Packages come from
# PyPI, or from the index that UV_DEFAULT_INDEX names.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1
shift

# Packages that come with PyTorch on Linux only. torch.txt holds them, so that torch-cpu.txt can replace them.
cuda='^(cuda-[a-z]+|nvidia-[a-z0-9-]+|torch|triton)=='

# lock NAME [ARGS]: resolve one of them
lock() {
  local name=$1
  shift
  echo "locks/$name.txt"
  "$uv" pip compile --quiet --universal --python-version 3.11.0 --generate-hashes --no-annotate \
    --custom-compile-command "make lock" --no-emit-package embedstack --no-emit-package localaws \
    "$@" "locks/$name.in" --output-file "locks/$name.txt"
  # A requirement is one line and its hashes on the lines after it.
  awk -v cuda="$cuda" -v only="$([[ $name == torch ]] && echo 1 || echo 0)" \
    '/^[a-z0-9]/ { keep = ($0 ~ cuda) == only } /^#/ || keep' "locks/$name.txt" > "locks/$name.txt.new"
  mv "locks/$name.txt.new" "locks/$name.txt"
}

# The others use these as constraints.
lock build "$@"
lock torch "$@"
lock dev "$@"
for file in locks/*.in; do
  name=$(basename "$file" .in)
  case "$name" in
    build | torch | dev) ;;
    weights) lock "$name" --no-deps "$@" ;;
    *) lock "$name" "$@" ;;
  esac
done
