# PostgreSQL for tests: the project's own binaries in a folder of this run, fsync on. Sourced after lib.sh and maven.sh.
# It refuses to run as root, so as root it runs as the user nobody.
# Every role may enter from the loopback address without a password, members of the role `scram` only with theirs:
#   weir     superuser
#   secured  member of scram, password `right`

postgres_user() {
  as=(setpriv)
  [ "$(id -u)" = 0 ] || return 0
  as=(setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups)
  chown -R nobody: "$postgres_dir"
}

postgres_configure() {
  cat >>"$postgres_dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
max_wal_size = '2GB'
timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
CONF
  cat >"$postgres_dir/data/pg_hba.conf" <<CONF
host all +scram 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
CONF
}

postgres_init() {
  "${as[@]}" "$postgres_bin/initdb" -D "$postgres_dir/data" -U weir --encoding=UTF8 --locale=C.UTF-8 --no-sync \
    || "${as[@]}" "$postgres_bin/initdb" -D "$postgres_dir/data" -U weir --encoding=UTF8 --locale=C --no-sync || return 1
  postgres_configure || return 1
  "${as[@]}" "$postgres_bin/postgres" --single -D "$postgres_dir/data" postgres <<SQL
CREATE ROLE scram
CREATE ROLE secured LOGIN PASSWORD 'right' IN ROLE scram
CREATE DATABASE weir
SQL
}

# postgres_launch DIR PORT, then postgres_await. WEIR_TEST_POSTGRES_BIN names other binaries.
postgres_launch() {
  postgres_dir=$1
  mkdir -p "$postgres_dir"
  postgres_bin=${WEIR_TEST_POSTGRES_BIN:-}
  [ -n "$postgres_bin" ] || postgres_unpack
  postgres_user
  postgres_init >"$postgres_dir/initdb.log" 2>&1 \
    || { cat "$postgres_dir/initdb.log" >&2; die "PostgreSQL's data folder could not be made"; }
  (cd / && child INT "${as[@]:1}" "$postgres_bin/postgres" -D "$postgres_dir/data" -p "$2") \
    >"$postgres_dir/server.log" 2>&1 </dev/null &
  postgres_pid=$!
}

# Into the folder of the run, not the cache: root's cache cannot be read by the user that PostgreSQL runs as.
postgres_unpack() {
  postgres_bin=$postgres_dir/server/bin
  mkdir -p "$postgres_dir/server"
  python3 -m zipfile -e "$jars"/embedded-postgres-binaries-*.jar "$postgres_dir/unpacked"
  tar -C "$postgres_dir/server" -xJf "$postgres_dir"/unpacked/*.txz
  rm -r "$postgres_dir/unpacked"
}

postgres_await() { await PostgreSQL "$postgres_pid" "$postgres_dir/server.log" postgres_serves; }

# Line 8 of the lock file is what pg_ctl waits for, too.
postgres_serves() { sed -n 8p "$postgres_dir/data/postmaster.pid" 2>/dev/null | grep -q ready; }

postgres_stop() { stop "$postgres_pid" INT 20; }
