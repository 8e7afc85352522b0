//! Makes a platform's servers agree: an errand on standard input, the answers on standard output, and on standard error why there
//! are none. The operator starts it; see `operator::provisioner`.

use std::io::Write as _;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Nobody else in this process could have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match operator::provisioner::serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
