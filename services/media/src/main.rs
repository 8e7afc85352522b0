//! The media service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run_or_migrate(media::service, media::store::MIGRATIONS)
}
