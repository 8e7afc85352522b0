//! What proc(5) tells of processes, on this machine or on another.

use std::time::Duration;

/// KiB, of proc(5)'s `status`.
pub(crate) fn amount(status: &str, name: &str) -> Option<u64> {
    let amount = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    amount.split_whitespace().next()?.parse().ok()
}

/// Of proc(5)'s `stat`: utime, stime, cutime and cstime, in hundredths of a second, which Linux has there on every architecture.
pub(crate) fn processor_time(stat: &str) -> Option<Duration> {
    // The program's name may hold blanks and parentheses; what follows it is the process's state.
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| Duration::from_millis(times.iter().sum::<u64>() * 10))
}

/// Of proc(5)'s `stat`: the group of processes that one belongs to.
pub(crate) fn group(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        let status = "Name:\toperator\nVmHWM:\t   10240 kB\nVmRSS:\t   9876 kB\nThreads:\t3\n";
        assert_eq!(amount(status, "VmRSS"), Some(9876));
        assert_eq!(amount(status, "VmHWM"), Some(10240));
        assert_eq!(amount(status, "VmSwap"), None);
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat =
            "77 (a (b) c) S 1 77 77 0 -1 4194560 900 30 0 0 120 35 4 1 20 0 1 0 100 9000 250 18446744073709551615";
        assert_eq!(processor_time(stat), Some(Duration::from_millis(1600)));
        assert_eq!(processor_time("77 (operator) S 1"), None);
    }

    #[test]
    fn the_group_is_read_behind_any_name() {
        assert_eq!(group("77 (a (b) c) S 1 76 77 0 -1"), Some(76));
        assert_eq!(group("77 (operator"), None);
    }
}
