//! The `weir` program.

use std::process::ExitCode;

/// Replaces malloc in the Kafka client as well, which halves its cost.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    weir::command::main()
}
