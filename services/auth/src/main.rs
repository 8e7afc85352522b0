//! The auth service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run(auth::service)
}
