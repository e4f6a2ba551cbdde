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

/// # Errors
/// When the system does not tell.
pub fn open_files(process: u32) -> Result<usize, String> {
    let folder = format!("/proc/{process}/fd");
    fs::read_dir(&folder).map(Iterator::count).map_err(|error| format!("{folder}: {error}"))
}
