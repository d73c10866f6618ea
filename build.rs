//! How the released program is linked.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    // A release aborts when it panics, so nothing ever reads the tables for unwinding: more than a tenth of the file.
    // The standard library is compiled with them, and a compiler's flag would not reach it.
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/no-unwind.ld,--no-eh-frame-hdr");
    }
}
