//! The README's example works as pasted into a new crate, and links between documents lead
//! somewhere.

use super::ROOT;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
fn links_between_documents_lead_to_files() {
    let mut documents = vec!["README.md".into(), "ARCHITECTURE.md".into(), "CHANGELOG.md".into()];
    let pages = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    documents.extend(pages.map(|page| Path::new("docs").join(page.unwrap().file_name())));
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    for document in documents.into_iter().filter(is_page) {
        let document = Path::new(ROOT).join(document);
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let target = document.parent().unwrap().join(file);
            let leads_somewhere = link.starts_with("http") || target.exists();
            assert!(leads_somewhere, "{}: {link}", document.display());
        }
    }
}

/// The README's first piece of code in that language.
fn block(language: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let rest = README.split(begin.as_str()).nth(1).expect("the README has such code");
    rest.split("```").next().unwrap()
}
