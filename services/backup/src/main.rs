//! The backup program.

fn main() -> anyhow::Result<()> {
    backup::command::main()
}
