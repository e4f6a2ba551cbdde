//! How much memory there is for this process: the machine's, or what its cgroups and its limit on
//! addresses leave of that.

use crate::limits::ADDRESSES_BESIDE_BYTES;
use rustix::process::{Resource, getrlimit};
use std::fs::read_to_string;
use std::path::Path;

/// Where the system shows its cgroups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The smallest of all limits that the system tells; `None` if it tells none.
pub(super) fn available_bytes() -> Option<u64> {
    let own_cgroups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = [
        machine_bytes(&read_to_string("/proc/meminfo").unwrap_or_default()),
        cgroup_bytes(Path::new(CGROUPS), &own_cgroups),
        getrlimit(Resource::As).current.map(|it| it.saturating_sub(ADDRESSES_BESIDE_BYTES)),
    ];
    limits.into_iter().flatten().min()
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The smallest limit of the cgroups that the process is in, by what `/proc/self/cgroup` says. In a
/// container that names the host's folders, of which only the outermost is there.
fn cgroup_bytes(root: &Path, own: &str) -> Option<u64> {
    own.lines().filter_map(|line| limit_bytes(root, line)).min()
}

/// The smallest limit along one line: `0::/path` in version 2, `4:memory:/path` in version 1.
fn limit_bytes(root: &Path, line: &str) -> Option<u64> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let (root, file) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            (root.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let folders = Path::new(path.trim_start_matches('/')).ancestors();
    // A missing file, or `max`, is no limit.
    let limits = folders.filter_map(|folder| read_to_string(root.join(folder).join(file)).ok());
    limits.filter_map(|limit| limit.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_smallest_limit_counts_in_both_versions_of_cgroups() {
        let root = std::env::temp_dir().join(format!("fanfare-cgroups-{}", std::process::id()));
        let write = |file: &str, text: &str| {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("a/memory.max", "5000\n");
        write("a/b/memory.max", "max\n");
        write("memory/memory.limit_in_bytes", "7000\n");
        write("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(cgroup_bytes(&root, "0::/a/b\n"), Some(5000));
        assert_eq!(cgroup_bytes(&root, "0::/\n"), None);
        assert_eq!(cgroup_bytes(&root, "3:cpu:/c\n4:memory,x:/c\n"), Some(7000));
        assert_eq!(cgroup_bytes(&root, "4:memory:/docker/not-here\n"), Some(7000));
        assert_eq!(cgroup_bytes(&root, "nonsense"), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_machine_tells_its_memory() {
        let meminfo = "MemTotal:       24684032 kB\nMemFree:        18000000 kB\n";
        assert_eq!(machine_bytes(meminfo), Some(24_684_032 * 1024));
        assert_eq!(machine_bytes(""), None);
        #[cfg(target_os = "linux")]
        assert!(available_bytes().unwrap() > 1 << 20);
    }
}
