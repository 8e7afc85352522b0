//! The chat service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run(chat::service)
}
