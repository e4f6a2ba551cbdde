//! What the server is packaged by names what exists.

use super::ROOT;
use std::fs;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

#[test]
fn the_debian_package_is_made_of_files_that_exist() {
    let manifest = read("server/Cargo.toml");
    let assets = manifest.split("assets = [").nth(1).unwrap().split("\n]").next().unwrap();
    let sources: Vec<&str> = assets
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next())
        .collect();
    assert!(sources.len() > 2, "{assets}");
    for source in sources.iter().filter(|source| !source.starts_with("target/")) {
        let path = source.trim_end_matches("/*.md");
        assert!(Path::new(ROOT).join("server").join(path).exists(), "{source}");
    }
}

#[test]
fn the_profile_of_packages_exists_and_is_used() {
    assert!(read("Cargo.toml").contains("[profile.dist]\n"));
    for path in ["packaging/symbols", "README.md", "server/Cargo.toml"] {
        assert!(read(path).contains("--profile dist"), "{path}");
    }
    for path in ["packaging/Dockerfile", "README.md", "server/Cargo.toml"] {
        assert!(read(path).contains("packaging/symbols"), "{path}: what builds with it");
    }
    let built = "folder=${1:-target/packaged}\n";
    assert!(read("packaging/symbols").contains(built));
    assert!(read("packaging/Dockerfile").contains("/fanfare/target/packaged/fanfare "));
}

/// Where systemd is there. The unit's programs need not be.
#[test]
fn systemd_understands_the_unit_and_finds_it_confined() {
    let there = Command::new("systemd-analyze").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        return;
    }
    let unit = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fanfare.service");
    let text = read("packaging/fanfare.service").replace("/usr/bin/fanfare", "/bin/true");
    fs::write(&unit, text).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(!said.contains("fanfare.service"), "{said}");
    let security = ["security", "--offline=true", "--threshold=20"];
    let judged = Command::new("systemd-analyze").args(security).arg(&unit).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}
