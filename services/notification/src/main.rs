//! The notification service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run(notification::service)
}
