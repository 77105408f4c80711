# What the testbed's scripts share: messages, the cache folder, waiting, free ports, children that end with us.
# Sourced by bash; every function returns non-zero or ends the script with one sentence.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/var/cache}/.cache}/weir

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# cached NAME FILE... : the cache folder for something made from these files; a change of any of them gives a new one.
# Those of the same name that no run has used for two weeks are removed.
cached() {
  local name=$1 key; shift
  key=$(cat "$@" | sha256sum | cut -c1-12)
  mkdir -p "$cache"
  [ -d "$cache/$name-$key" ] && touch "$cache/$name-$key"
  find "$cache" -maxdepth 1 -name "$name-*" ! -name "$name-$key*" -mtime +14 -exec rm -rf {} +
  printf '%s/%s-%s' "$cache" "$name" "$key"
}

# settle PARTIAL FINAL : give a finished folder its name; where another run was quicker, its folder stands.
settle() { mv -T "$1" "$2" 2>/dev/null || rm -rf "$1"; }

# wait_until SECONDS COMMAND... : true as soon as the command is, false when the time is up.
wait_until() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

# free_ports N : N different ports of the loopback address that nobody listens on now.
free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in held))
PYTHON
}

# child SIGNAL COMMAND... : become COMMAND; the kernel sends it SIGNAL when the shell that started it dies, however it dies.
child() { exec setpriv --pdeathsig "$@"; }

# stop PID SIGNAL SECONDS : ask a child of ours to end, insist when it does not.
stop() {
  kill "-$2" "$1" 2>/dev/null || return 0
  wait_until "$3" gone "$1" || kill -KILL "$1" 2>/dev/null
  wait "$1" 2>/dev/null
  return 0
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# await NAME PID LOG TEST : wait until the server's own test says that it serves; otherwise show its log and end.
await() {
  local name=$1 pid=$2 log=$3 serves=$4
  wait_until 180 serves_or_gone "$pid" "$serves"
  "$serves" && ! gone "$pid" && return
  tail -30 "$log" >&2
  die "$name did not start within 180 s; its log: $log"
}
serves_or_gone() { "$2" || gone "$1"; }
