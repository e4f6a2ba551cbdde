//! The README's example works as pasted into a new crate, and documents name files that exist.

use super::ROOT;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDERS: [&str; 8] =
    ["src/", "server/", "tests/", "testkit/", "examples/", "benches/", "docs/", "packaging/"];
const README: &str = include_str!("../../README.md");

#[test]
fn the_readmes_example_runs_in_a_new_crate_and_prints_what_the_readme_says() {
    let fanfare = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fanfare");
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("newcomer");
    fs::create_dir_all(package.join("src")).unwrap();
    // The dependency's path is the README's, `../fanfare`: a link to this repository.
    let _ = fs::remove_file(&fanfare);
    std::os::unix::fs::symlink(ROOT, &fanfare).unwrap();
    let manifest = format!(
        "[package]\nname = \"newcomer\"\nedition = \"2024\"\n\n{}\n[workspace]\n",
        block("toml")
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::write(package.join("src/main.rs"), block("rust")).unwrap();
    // The versions that this workspace has: nothing is fetched.
    fs::copy(Path::new(ROOT).join("Cargo.lock"), package.join("Cargo.lock")).unwrap();

    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let prints = format!("It prints:\n\n```text\n{printed}```\n");
    assert!(README.contains(&prints), "{printed}");
}

#[test]
fn documents_name_files_that_exist() {
    let pages = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let pages = pages.map(|page| page.unwrap().path());
    let roots = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CODE_OF_CONDUCT.md",
    ];
    let documents = roots.iter().map(|name| Path::new(ROOT).join(name)).chain(pages);
    for document in documents.filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        let missing = |path: PathBuf| panic!("{} names {}", document.display(), path.display());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let target = folder.join(link);
            if !link.starts_with("http") && !target.exists() {
                missing(target);
            }
        }
        // Between backticks: paths from the root.
        for path in text.split('`').skip(1).step_by(2).filter(|code| is_path(code)) {
            let target = Path::new(ROOT).join(path);
            if !target.exists() {
                missing(target);
            }
        }
    }
}

fn is_path(code: &str) -> bool {
    let begins = FOLDERS.iter().any(|folder| code.starts_with(folder));
    begins && !code.contains([' ', '<', '{', '*', '\n'])
}

/// The README's first piece of code in that language.
fn block(language: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let rest = README.split(begin.as_str()).nth(1).expect("the README has such code");
    rest.split("```").next().unwrap()
}
