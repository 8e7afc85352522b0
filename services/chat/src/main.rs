//! The chat service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run_or_migrate(chat::service, chat::store::MIGRATIONS)
}
