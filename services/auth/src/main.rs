//! The auth service's program: the service itself, or one of its [commands](auth::command).

use std::env;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match auth::command::parse(&arguments)? {
        None => runtime::program::run_or_migrate(auth::service, auth::store::MIGRATIONS),
        Some(command) => auth::command::run(&command),
    }
}
