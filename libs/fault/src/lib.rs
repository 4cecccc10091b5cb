//! Faults that tests bring about inside a process: a crash at a point, and a guard that is off. They
//! are in debug builds alone; in a release build both functions are empty.
//!
//! `FAULT_ABORT=after-publish:3` aborts the process when it comes to that point for the third
//! time. `FAULT_OFF=inbox,lease` switches those guards off, to show that a test would notice.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    struct Abort {
        point: String,
        passes: AtomicU32,
    }

    static ABORT: LazyLock<Option<Abort>> = LazyLock::new(|| {
        let text = std::env::var("FAULT_ABORT").ok()?;
        let (point, passes) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Abort { point: point.to_owned(), passes: AtomicU32::new(passes.parse().ok()?) })
    });

    static OFF: LazyLock<Vec<String>> = LazyLock::new(|| {
        let text = std::env::var("FAULT_OFF").unwrap_or_default();
        text.split(',').map(str::to_owned).collect()
    });

    pub fn point(name: &str) {
        if let Some(abort) = &*ABORT
            && abort.point == name
            && abort.passes.fetch_sub(1, Ordering::SeqCst) == 1
        {
            // As a kill would: nothing is unwound, flushed or closed.
            std::process::abort();
        }
    }

    pub fn is_off(guard: &str) -> bool {
        OFF.iter().any(|off| off == guard)
    }
}

/// A place where a test may let the process crash.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::point(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Whether a test has switched a guard off.
#[inline]
pub fn is_off(guard: &str) -> bool {
    #[cfg(debug_assertions)]
    return armed::is_off(guard);
    #[cfg(not(debug_assertions))]
    {
        let _ = guard;
        false
    }
}
