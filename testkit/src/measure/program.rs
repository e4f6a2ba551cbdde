//! The race programs' shared flags, their files, and their exit.

use clap::error::ErrorKind;
use clap::{Args, Parser};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The files that a race can write.
#[derive(Args, Debug, PartialEq, Eq)]
pub struct Files {
    /// Write the medians as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Draw them
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

impl Files {
    /// Writes the files that were asked for, and reports it.
    ///
    /// # Errors
    /// A sentence that names the file, or why it cannot be drawn.
    pub fn write(
        &self,
        csv: impl FnOnce() -> String,
        svg: impl FnOnce() -> Result<String, String>,
    ) -> Result<(), String> {
        if let Some(file) = &self.csv {
            write(file, &csv())?;
        }
        if let Some(file) = &self.svg {
            write(file, &svg()?)?;
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text)
        .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    println!("\nwrote {}", file.display());
    Ok(())
}

/// Ends the program, and reports an error under the program's name.
pub fn end(program: &str, result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses a program's command line.
pub fn parse_line<P: Parser>(line: &str) -> Result<P, clap::Error> {
    P::try_parse_from(std::iter::once("program").chain(line.split_whitespace()))
}

/// Checks that there is help, and that the error about each line contains the word beside it.
#[track_caller]
pub fn assert_helpful<P: Parser>(mistakes: &[(&str, &str)]) {
    let complaint =
        |line: &str| parse_line::<P>(line).err().unwrap_or_else(|| panic!("{line} is understood"));
    assert_eq!(complaint("-h").kind(), ErrorKind::DisplayHelp);
    for (line, word) in mistakes.iter().chain(&[
        ("--fast", "--fast"),
        ("--csv", "--csv"),
        ("--rounds none", "none"),
    ]) {
        let said = complaint(line).to_string();
        assert!(said.contains(word), "{line}: {said}");
    }
}
