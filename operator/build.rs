//! How the operator is linked. It is counted by the memory it takes at rest, most of which is code and what the loader writes into it.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return;
    }
    // A megabyte of relocations becomes 14 kB (DT_RELR: glibc 2.36, which is Debian 12's).
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // Functions that came out alike, of generic code mostly, are kept once. Only lld can, which Rust links with on this architecture.
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
}
