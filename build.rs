//! What the linker does for the agent's two files, which hosts get over the network.

/// The minor version of the GNU C library, with which this program is linked as well as what it is the build of.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn c_library() -> Option<u32> {
    use std::ffi::{CStr, c_char};
    unsafe extern "C" {
        fn gnu_get_libc_version() -> *const c_char;
    }
    // SAFETY: answers a constant text.
    let version = unsafe { CStr::from_ptr(gnu_get_libc_version()) }.to_str().ok()?;
    version.strip_prefix("2.")?.split('.').next()?.parse().ok()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn c_library() -> Option<u32> {
    None
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let fixed = var("CARGO_CFG_TARGET_FEATURE").split(',').any(|f| f == "crt-static");
    if var("CARGO_CFG_TARGET_ENV") != "gnu" || var("HOST") != var("TARGET") || !fixed {
        return;
    }
    let mut args = vec![];
    // No tables for unwinding: there a panic ends the process.
    if var("PROFILE") == "release" {
        let script = format!("{}/agent.ld", var("OUT_DIR"));
        let text = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table .gcc_except_table.*) } } \
                    INSERT BEFORE .data;\n";
        if std::fs::write(&script, text).is_ok() {
            args.extend(["-Wl,--no-eh-frame-hdr".to_string(), format!("-Wl,-T,{script}")]);
        }
        // What `src/agent/lean.rs` puts in place of the C library's comes first. Should another compiler's library have
        // it in one piece with something that is needed, the file is larger, and no worse.
        args.push("-Wl,-z,muldefs".to_string());
    }
    // Relocations in a bitmap, which the C library applies at the start since 2.36.
    if c_library().is_some_and(|minor| minor >= 36) {
        args.push("-Wl,-z,pack-relative-relocs".to_string());
    }
    for binary in ["dirigo-agent", "dirigo-agent-more"] {
        for arg in &args {
            println!("cargo:rustc-link-arg-bin={binary}={arg}");
        }
    }
}
