//! What this machine lacks that a normal one has. Each field switches on one workaround, and nothing else does.

use std::fs;
use std::path::Path;

/// What was found missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// cgroup v1: kubelet 1.35 and later refuses to start there unless told otherwise (`failCgroupV1: false`).
    pub cgroup_v1: bool,
    /// No `CAP_SYS_RESOURCE` in the bounding set. Docker 20.10 asks for every capability for a privileged
    /// container, which fails with "unable to apply caps": runc is wrapped to leave this one out. For the same reason no process
    /// may lower its `oom_score_adj`: dockerd must not try, and containerd in the nodes is told to restrict itself.
    pub no_sys_resource: bool,
}

impl Quirks {
    /// Looks at the running machine.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            cgroup_v1: !Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            no_sys_resource: fs::read_to_string("/proc/self/status")
                .is_ok_and(|status| !bounding_set_has(&status, CAP_SYS_RESOURCE)),
        }
    }
}

/// Number of the capability in linux/capability.h.
const CAP_SYS_RESOURCE: u32 = 24;

fn bounding_set_has(status: &str, capability: u32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_none_or(|mask| mask >> capability & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_capability_is_seen_in_the_bounding_set() {
        assert!(bounding_set_has("Name:\tx\nCapBnd:\t000001ffffffffff\n", CAP_SYS_RESOURCE));
        assert!(!bounding_set_has("Name:\tx\nCapBnd:\t000001fffeffffff\n", CAP_SYS_RESOURCE));
    }

    #[test]
    fn an_unreadable_status_switches_no_workaround_on() {
        assert!(bounding_set_has("", CAP_SYS_RESOURCE));
    }
}
