//! What the agent's executables do without, although the standard library and the C library bring it. Each function
//! stands in place of one of theirs, so that the linker does not take in what only that one needs. Part of those two
//! executables alone, not of the library.

#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static", panic = "abort"))]
mod instead {
    use std::ffi::{c_int, c_void};

    /// Walks no frames: there are no tables for it (see `build.rs`), and without them a backtrace is empty anyway. So
    /// neither the reader of debug information nor the unwinder is needed. Answers the end of the stack.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Backtrace(_each: *const c_void, _with: *mut c_void) -> c_int {
        5
    }

    /// Does not know where the stack ends. The C library's reads that out of /proc/self/maps with `sscanf`, which
    /// brings numbers of all kinds and wide letters. The standard library asks in order to say "stack overflow" where
    /// the process otherwise ends by SIGSEGV without a word; the supervisor reports that as well.
    #[unsafe(no_mangle)]
    extern "C" fn pthread_getattr_np(_thread: libc::pthread_t, _attr: *mut libc::pthread_attr_t) -> c_int {
        libc::ENOSYS
    }

    /// The rest of the unwinder: a panic ends the process, no thread is cancelled, and so nobody comes here.
    macro_rules! never {
        ($($name:ident)*) => {$(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )*};
    }
    never! {
        _Unwind_DeleteException _Unwind_FindEnclosingFunction _Unwind_ForcedUnwind _Unwind_GetCFA
        _Unwind_GetDataRelBase _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart _Unwind_GetTextRelBase
        _Unwind_RaiseException _Unwind_Resume _Unwind_SetGR _Unwind_SetIP __gcc_personality_v0
    }
}
