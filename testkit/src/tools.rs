//! Programs and libraries that some tests need and a machine may lack.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where Debian puts servers; only root's `PATH` contains it. Searched first, since the tests were
/// written beside Debian's versions.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The version whose bytes tests expect. Newer ones say more: 2.15 names the subject to which
/// nobody listens.
const NATS_SERVER_VERSION: &str = "v2.9.";

/// Says why a test does not run. In continuous integration (`CI=true`) the test fails instead:
/// there, everything has to be installed.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(env::var_os("CI").is_none_or(|value| value != "true"), "{reason}");
    println!("skipped: {reason}");
}

/// The programs of these names, if all of them are installed; otherwise the test is skipped.
#[track_caller]
pub fn programs<const COUNT: usize>(names: [&str; COUNT]) -> Option<[PathBuf; COUNT]> {
    let missing: Vec<&str> = names.into_iter().filter(|name| find(name).is_none()).collect();
    if !missing.is_empty() {
        skip(&format!("{} not installed (.ci/run says what tests need)", missing.join(" and ")));
        return None;
    }
    Some(names.map(|name| find(name).expect("it was found a moment ago")))
}

/// A command that runs this program, if it is installed; otherwise the test is skipped.
#[track_caller]
pub fn program(name: &str) -> Option<Command> {
    programs([name]).map(|[path]| Command::new(path))
}

/// nats-server of the version whose bytes the tests expect; without it the test is skipped.
#[track_caller]
pub fn nats_server() -> Option<PathBuf> {
    static VERSION: OnceLock<String> = OnceLock::new();
    let [file] = programs(["nats-server"])?;
    let version = VERSION.get_or_init(|| {
        let output = Command::new(&file).arg("--version").output();
        output.map_or_else(|_| String::new(), |it| String::from_utf8_lossy(&it.stdout).into())
    });
    if !version.contains(NATS_SERVER_VERSION) {
        skip(&format!("{} is {}, not {NATS_SERVER_VERSION}", file.display(), version.trim()));
        return None;
    }
    Some(file)
}

/// nats-server of a newer line, such as 2.15, which `.ci/run nats-clients` installs; without it the
/// test is skipped.
#[track_caller]
pub fn nats_server_of(line: &str) -> Option<PathBuf> {
    nats_client(&format!("nats-server-{line}/bin/nats-server"))
}

/// The file of an installed program.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = SERVER_FOLDERS.into_iter().map(PathBuf::from).chain(env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A file that `.ci/run nats-clients` installs below `target`; without it the test is skipped.
#[track_caller]
pub fn nats_client(name: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/nats-clients").join(name);
    if !file.exists() {
        skip(&format!("{} is missing; `.ci/run nats-clients` installs it", file.display()));
        return None;
    }
    Some(file)
}

/// Python with the libraries that the tests' scripts import; without it the test is skipped.
#[track_caller]
pub fn python_with_clients() -> Option<Command> {
    nats_client("python/bin/python").map(Command::new)
}
