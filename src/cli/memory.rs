//! Values of secrets in memory stay there.

/// From here on, the kernel writes no image of this process onto the disk when it crashes, and lets nobody but root read
/// its memory and its environment, not even other programs of the same person. Programs it starts are not concerned.
pub fn keep_private() {
    // Where the kernel does not know this, it is as it was.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

    #[test]
    fn a_crash_leaves_nothing_on_the_disk() {
        super::keep_private();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        assert_eq!(set_dumpable_behavior(DumpableBehavior::Dumpable), Ok(()), "the tests' own process");
    }
}
