# Builds weir and plugins, for tests, examples and benches. Sourced; brings lib.sh and tools.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/tools.sh"

# Where cargo builds. Where CI is set, in the cache: each run has a clone of its own, and dependencies stay compiled.
build_folder() {
  if [ -n "${CI:-}" ]; then
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
    export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
  fi
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repository/target}
  mkdir -p "$CARGO_TARGET_DIR"
  CARGO_TARGET_DIR=$(cd "$CARGO_TARGET_DIR" && pwd)
}

# build_weir PLUGIN... : the binary as $WEIR_BIN, the components of these plugins in $WEIR_PLUGINS.
build_weir() {
  need_build_tools
  build_folder
  export WEIR_BIN=$CARGO_TARGET_DIR/release/weir WEIR_PLUGINS=$CARGO_TARGET_DIR/plugins
  say "building weir (the first time takes about ten minutes)"
  (cd "$repository" && cargo build --release --workspace --bin weir) || die "weir could not be built"
  local plugin
  for plugin in "$@"; do
    say "building plugin $plugin"
    (cd "$repository" && "$WEIR_BIN" plugin build "plugins/$plugin" --out "$WEIR_PLUGINS") || die "plugin $plugin could not be built"
  done
}
