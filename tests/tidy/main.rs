//! The repository's own rules, as an ordinary test: a rule that nothing checks is a wish.
//!
//! `source.rs` reads the files, `rules.rs` has the rules, and here they meet the tree. Every
//! finding says file and line. Some rules can be set aside where there is a reason, said on the
//! line or directly above it: `// why: the reason`.

mod rules;
mod source;

use source::{Finding, Source, read_package};
use std::path::Path;

#[test]
fn imports_point_one_way() {
    hold(rules::imports_point_one_way, is_src);
}

#[test]
fn one_file_names_a_runtime() {
    hold(rules::one_file_names_a_runtime, is_src);
}

#[test]
fn pure_code_does_no_io() {
    hold(rules::pure_code_does_no_io, is_src);
}

#[test]
fn panics_are_justified() {
    hold(rules::panics_are_justified, is_src);
}

#[test]
fn risky_calls_are_justified() {
    hold(rules::risky_calls_are_justified, is_src);
}

#[test]
fn nothing_is_left_for_later() {
    // The rules themselves must name what they look for.
    hold(rules::nothing_is_left_for_later, |path| {
        path.ends_with(".rs") && !path.starts_with("tests/tidy/")
    });
}

#[test]
fn bounds_are_documented() {
    hold(rules::bounds_are_documented, |path| path == "src/limits.rs");
}

#[test]
fn files_and_functions_are_short() {
    hold(rules::files_and_functions_are_short, is_src);
}

#[test]
fn lines_are_clean() {
    hold(rules::lines_are_clean, |_| true);
}

#[test]
fn dependencies_are_explained() {
    let sources = package();
    let file = |path: &str| {
        sources
            .iter()
            .find(|source| source.path == path)
            .unwrap_or_else(|| panic!("{path} is missing"))
    };
    none(rules::dependencies_are_explained(file("Cargo.toml"), file("ARCHITECTURE.md")));
}

fn is_src(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with(".rs")
}

fn package() -> Vec<Source> {
    read_package(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// The rule holds in every file that `concerns` picks, of which there must be one.
#[track_caller]
fn hold(rule: fn(&Source) -> Vec<Finding>, concerns: fn(&str) -> bool) {
    let sources: Vec<Source> =
        package().into_iter().filter(|source| concerns(&source.path)).collect();
    assert!(!sources.is_empty(), "the rule was shown no file at all");
    none(sources.iter().flat_map(rule).collect());
}

#[track_caller]
fn none(findings: Vec<Finding>) {
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(list.is_empty(), "{} finding(s):\n{}", list.len(), list.join("\n"));
}
