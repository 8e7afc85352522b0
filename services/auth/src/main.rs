//! The auth service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run_or_migrate(auth::service, auth::store::MIGRATIONS)
}
