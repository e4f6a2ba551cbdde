//! What jemalloc, the allocator, has sampled of the memory in use.

use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::LazyLock;
use tikv_jemalloc_ctl::{profiling, raw};

/// Whether it was built to sample.
pub(super) fn samples() -> bool {
    profiling::prof::read().unwrap_or(false)
}

/// The memory that one stack asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Sampled {
    /// Return addresses, innermost first.
    pub addresses: Vec<usize>,
    pub bytes: f64,
}

/// All that it has sampled, and the mean number of bytes between two samples.
pub(super) fn sampled() -> io::Result<(Vec<Sampled>, i64)> {
    parse(&dump()?).ok_or_else(|| io::Error::other("its text is not as expected"))
}

/// A file in memory, and its name, which jemalloc's safe function wants to be there for good.
static DUMP: LazyLock<io::Result<(File, String)>> = LazyLock::new(|| {
    let file = File::from(memfd_create("heap profile", MemfdFlags::CLOEXEC)?);
    let name = format!("/proc/self/fd/{}\0", file.as_raw_fd());
    Ok((file, name))
});

/// What jemalloc writes to a file. Only one caller at a time.
fn dump() -> io::Result<String> {
    let (file, name) = DUMP.as_ref().map_err(|error| error.kind())?;
    raw::write_str(b"prof.dump\0", name.as_bytes())
        .map_err(|error| io::Error::other(error.to_string()))?;
    let text = std::fs::read_to_string(name.trim_end_matches('\0'));
    file.set_len(0)?;
    text
}

/// `None` if it is not the format that jemalloc writes.
fn parse(dump: &str) -> Option<(Vec<Sampled>, i64)> {
    let mut lines = dump.lines();
    let period_bytes = lines.next()?.strip_prefix("heap_v2/")?.parse().ok()?;
    let mut all = Vec::new();
    let mut stack = None;
    for line in lines {
        if let Some(addresses) = line.strip_prefix("@ ") {
            let address = |word: &str| usize::from_str_radix(word.trim_start_matches("0x"), 16);
            stack = Some(addresses.split_whitespace().map(address).collect::<Result<_, _>>().ok()?);
        // Of all threads together: `t*: OBJECTS: BYTES [0: 0]`. The first such line is of no stack.
        } else if let Some(counts) = line.trim_start().strip_prefix("t*: ")
            && let Some(addresses) = stack.take()
        {
            let mut counts = counts.split_whitespace();
            let objects: f64 = counts.next()?.trim_end_matches(':').parse().ok()?;
            let bytes: f64 = counts.next()?.parse().ok()?;
            all.push(Sampled { addresses, bytes: estimate(objects, bytes, period_bytes) });
        }
    }
    Some((all, period_bytes as i64))
}

/// How much there really is, if this was sampled: the smaller an allocation, the rarer is it
/// sampled. As jemalloc's own `jeprof` does it.
fn estimate(objects: f64, bytes: f64, period_bytes: f64) -> f64 {
    bytes / (1.0 - (-(bytes / objects) / period_bytes).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_read_with_what_they_really_keep() {
        let dump = "heap_v2/524288\n  t*: 3: 1057792 [0: 0]\n  t0: 3: 1057792 [0: 0]\n\
                    @ 0x10 0x2f\n  t*: 1: 1048576 [0: 0]\n  t0: 1: 1048576 [0: 0]\n\
                    @ 0x30\n  t*: 2: 9216 [0: 0]\n  t0: 2: 9216 [0: 0]\n\
                    \nMAPPED_LIBRARIES:\n5581 r-xp 0 /usr/bin/fanfare\n";
        let (sampled, period_bytes) = parse(dump).unwrap();
        assert_eq!(period_bytes, 524_288);
        let [large, small] = &sampled[..] else { panic!("{sampled:?}") };
        assert_eq!((&large.addresses[..], &small.addresses[..]), (&[0x10, 0x2f][..], &[0x30][..]));
        // One of two samples' size is sampled with a probability of 86 %.
        assert!((large.bytes / 1_048_576.0 - 1.157).abs() < 0.001, "{large:?}");
        // Two of 4,608 bytes stand for two samples' distances.
        assert!((small.bytes / 524_288.0 - 2.0).abs() < 0.01, "{small:?}");
    }

    #[test]
    fn what_is_not_its_format_is_no_profile() {
        for dump in ["", "heap_v1/5", "heap_v2/x", "heap_v2/5\n@ 0xz", "heap_v2/5\n@ 0x1\nt*: x"] {
            assert_eq!(parse(dump), None, "{dump}");
        }
    }
}
