//! The place of a hashing thread behind the threads that answer requests.
//!
//! Why not `SCHED_IDLE`, or 19 of niceness? Both leave a thread next to nothing while others want its core: beside one
//! busy thread a core it kept about 3 and 8 per cent of its pace where this was measured, so that a log-in took
//! seconds. At 10 it kept a third, and a request that wakes up still goes first.

/// Lowers the calling thread by `nice`. Where that cannot be done hashing is not nice, but it works.
#[cfg(target_os = "linux")]
pub(super) fn lower(nice: u8) {
    use rustix::process::setpriority_process;

    // POSIX has one priority for a process; on Linux each thread has its own, and no id is the calling thread.
    if let Err(error) = setpriority_process(None, i32::from(nice)) {
        tracing::warn!(%error, "the hashing threads keep the priority of the others");
    }
}

/// Elsewhere `setpriority` would lower the whole process.
#[cfg(not(target_os = "linux"))]
pub(super) fn lower(_nice: u8) {}
