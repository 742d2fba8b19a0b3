//! `n8n-gateway`.

use std::process::ExitCode;

fn main() -> ExitCode {
    n8n_gateway::cli::main()
}
