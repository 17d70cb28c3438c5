//! The `rerankd` binary; everything is in the library.

use std::process::ExitCode;

/// The allocator of the process: faster than the system's for many small allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rerankd::cli::run()
}
