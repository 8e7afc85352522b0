//! The notification service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run_or_migrate(notification::service, notification::store::MIGRATIONS)
}
