#!/bin/sh
# Stop the local AWS and its processes without Python: `make down` and `make clean` use it if .venv is missing or broken.
# Exits with 1 and names the processes that still run.
cd "$(dirname "$0")/.." || exit 1

# started PID: when the process started, as the local AWS records it, so that a reused pid is left alone
started() {
  if [ -r /proc/self/stat ]; then
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
  else
    ps -o lstart= -p "$1" 2>/dev/null | sed 's/  */ /g; s/ $//'
  fi
}

# is_running PID: whether it runs and is not a zombie
is_running() {
  if [ -r /proc/self/stat ]; then
    state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)
  else
    state=$(ps -o stat= -p "$1" 2>/dev/null)
  fi
  case "$state" in '' | Z* | X*) false ;; esac
}

# is_postgres PID FOLDER: whether it is the server of this data directory
is_postgres() {
  if [ -e /proc/self/cwd ]; then
    [ "$(readlink "/proc/$1/cwd")" = "$(cd "$2" && pwd -P)" ]
  else
    case "$(ps -o comm= -p "$1" 2>/dev/null)" in *postgres*) ;; *) false ;; esac
  fi
}

# end PID SIGNAL WHAT: the signal, then SIGKILL after 20 seconds
left=0
end() {
  is_running "$1" || return 0
  kill -s "$2" "$1" 2>/dev/null
  seconds=0
  while is_running "$1" && [ "$seconds" -lt 20 ]; do
    sleep 1
    seconds=$((seconds + 1))
  done
  if is_running "$1"; then
    kill -s KILL "$1" 2>/dev/null
    sleep 1
  fi
  if is_running "$1"; then
    echo "error: $3, process $1, could not be stopped. Run: kill -9 $1" >&2
    left=1
  else
    echo "Stopped $3, process $1."
  fi
}

# field FILE NAME: the value of a member of a small file of JSON
field() {
  sed -n 's/.*"'"$2"'": *"\{0,1\}\([^",}]*\).*/\1/p' "$1" 2>/dev/null
}

# The local AWS itself comes first: it ends its own processes.
for file in .local/localaws.json .local/containers/*.json; do
  [ -f "$file" ] || continue
  pid=$(field "$file" pid)
  case "$pid" in '' | *[!0-9]*) continue ;; esac
  if [ "$(started "$pid")" = "$(field "$file" started)" ]; then
    end "$pid" TERM "$([ "$file" = .local/localaws.json ] && echo "the local AWS" || echo "a process of the local AWS")"
  fi
done

for file in .local/postgres/postmaster.pid .local/databases/*/postmaster.pid; do
  [ -f "$file" ] || continue
  pid=$(sed -n 1p "$file")
  sockets=$(sed -n 5p "$file")
  case "$pid" in '' | *[!0-9]*) continue ;; esac
  # SIGINT is Postgres' fast shutdown.
  if is_postgres "$pid" "$(dirname "$file")"; then end "$pid" INT Postgres; fi
  case "$sockets" in */embedstack-postgres-*) rm -rf "$sockets" ;; esac
done
if [ "$left" = 0 ]; then rm -f .local/localaws.json .local/saved-state .local/variables .local/containers/*.json; fi
exit "$left"
