//! `n8n-gateway`.

use std::process::ExitCode;

/// It is quick, and gives back what a crowd has needed when the crowd is gone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    n8n_gateway::cli::main()
}
