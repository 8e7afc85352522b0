//! The media service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run(media::service)
}
