//! What a process holds, as Linux tells.

use std::fs;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: f64,
    /// The peak of resident memory.
    pub peak: f64,
}

/// # Errors
/// When the system does not tell.
pub fn memory(process: u32) -> Result<Memory, String> {
    let file = format!("/proc/{process}/status");
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let kib = |name: &str| -> Result<f64, String> {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
        value.map(|kib: f64| kib * 1024.0).ok_or_else(|| format!("{file} has no {name}"))
    };
    Ok(Memory { resident: kib("VmRSS:")?, peak: kib("VmHWM:")? })
}

/// In which Linux tells processor times to programs, on every machine that servers run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time of a process in seconds: its own, and the kernel's for it.
///
/// # Errors
/// When the system does not tell.
pub fn processor_time(process: u32) -> Result<[f64; 2], String> {
    let file = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    // Behind the name, which may contain blanks.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let ticks: [f64; 2] = ticks.try_into().map_err(|_| format!("{file} has no times"))?;
    Ok(ticks.map(|ticks| ticks / TICKS_PER_SECOND))
}

/// # Errors
/// When the system does not tell.
pub fn open_files(process: u32) -> Result<usize, String> {
    let folder = format!("/proc/{process}/fd");
    fs::read_dir(&folder).map(Iterator::count).map_err(|error| format!("{folder}: {error}"))
}
