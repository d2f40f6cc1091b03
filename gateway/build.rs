//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[expect(clippy::disallowed_methods, reason = "this is how cargo talks to a build script")]
    let system = std::env::var("CARGO_CFG_TARGET_OS");
    if system.as_deref() == Ok("linux") {
        // Half a megabyte of relocations, packed into a hundredth of it. Older linkers pass over the word; the C library reads it since
        // 2.36 (2022), musl since 1.2.4.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
