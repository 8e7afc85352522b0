//! The gateway service's program.

fn main() -> anyhow::Result<()> {
    runtime::program::run(gateway::service)
}
