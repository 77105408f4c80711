# Installs what is missing: through apt as root, otherwise one sentence names the package and the script ends.
# Sourced after lib.sh.

# package NAME... : install Debian packages, or say which ones are missing.
package() {
  command -v apt-get >/dev/null || die "please install: $* (this system has no apt-get)"
  [ "$(id -u)" = 0 ] || die "please install with: sudo apt-get install $*"
  say "installing $* through apt"
  apt_log=$(mktemp)
  { [ -n "${apt_updated:-}" ] || apt-get update -q; } >"$apt_log" 2>&1 || { cat "$apt_log" >&2; die "apt-get update failed"; }
  apt_updated=1
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >"$apt_log" 2>&1 \
    || { cat "$apt_log" >&2; die "apt-get install $* failed"; }
  rm -f "$apt_log"
}

# need COMMAND PACKAGE... : the command, from these packages where it is missing.
need() {
  local command=$1; shift
  command -v "$command" >/dev/null || package "$@"
}

# What building weir takes: a C and C++ compiler, make, cmake and perl for librdkafka and its TLS.
need_build_tools() {
  need c++ build-essential
  need make build-essential
  need cmake cmake
  need perl perl
  need pkg-config pkg-config
  need_rust
}

# The toolchain and the plugins' target that rust-toolchain.toml names.
need_rust() {
  command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
  command -v cargo >/dev/null || die "please install Rust by rustup (https://rustup.rs), then run this again"
  command -v rustup >/dev/null || { need_rust_without_rustup; return; }
  local channel target=wasm32-unknown-unknown
  channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$repository/rust-toolchain.toml")
  if ! rustup run "$channel" rustc --version >/dev/null 2>&1; then
    say "installing Rust $channel through rustup"
    rustup toolchain install "$channel" --profile minimal --component clippy --component rustfmt || die "rustup could not install Rust $channel"
  fi
  if ! rustup target list --installed --toolchain "$channel" | grep -qx "$target"; then
    say "adding the plugins' target $target through rustup"
    rustup target add --toolchain "$channel" "$target" || die "rustup could not add the target $target to Rust $channel"
  fi
}

need_rust_without_rustup() {
  [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ] \
    || die "this Rust has no target wasm32-unknown-unknown, which plugins are compiled for: install Rust by rustup (https://rustup.rs)"
}

# What running the servers takes: Java 17 and Maven for Kafka, Node 18 for TimescaleDB, Python for the oracles.
need_server_tools() {
  need python3 python3
  need xz xz-utils
  need setpriv util-linux
  need_java
  need mvn maven
  need_node
}

need_java() {
  local version=0 release
  if command -v java >/dev/null; then
    version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
  fi
  [ "${version:-0}" -ge 17 ] && return
  for release in 17 21 25; do
    [ -n "$(apt-cache madison "openjdk-$release-jre-headless" 2>/dev/null)" ] && { package "openjdk-$release-jre-headless"; return; }
  done
  package openjdk-17-jre-headless
}

need_node() {
  local version=0
  command -v node >/dev/null || package nodejs npm
  command -v npm >/dev/null || package npm
  version=$(node -p 'process.versions.node.split(".")[0]')
  [ "$version" -ge 18 ] || die "TimescaleDB's test build needs Node 18 or newer, found $version: please upgrade nodejs"
}
