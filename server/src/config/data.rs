//! The settings of the database.

use super::table::Options;
use super::values::{choice, within};
use crate::limits;
use crate::store::{Fsync, StoreSettings};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(next_help_heading = "Database")]
pub struct DataOptions {
    /// Directory of the database: accounts, rooms, their histories, and kept pushes. Without one,
    /// all of that ends with the server
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// When a commit is forced to the disk: `always` before it counts, so it survives a loss of
    /// power, or `later`. Either way it survives a crash of the server
    #[arg(long, value_name = "always|later", default_value = "later",
        value_parser = choice([("always", Fsync::Always), ("later", Fsync::Later)]))]
    fsync: Fsync,
    /// Maximum size of the database. Once it is full, nothing more is stored, and people are told
    #[arg(long, value_name = "BYTES", default_value_t = limits::DATA_BYTES,
        value_parser = within::<u64>(1 << 20..=1 << 44))]
    bytes: u64,
    /// Lines that the database keeps of each room
    #[arg(long, value_name = "N", default_value_t = limits::STORED_LINES,
        value_parser = within::<u32>(1..=1 << 30))]
    room_lines: u32,
    /// Days for which the database keeps lines; 0 for ever
    #[arg(long, value_name = "N", default_value_t = limits::STORED_DAYS,
        value_parser = within::<u32>(0..=36_500))]
    days: u32,
}

impl Options for DataOptions {
    const TABLE: &'static str = "data";
}

impl DataOptions {
    /// The database; `None` without a directory.
    pub fn config(self) -> Option<StoreSettings> {
        let Self { dir, fsync, bytes, room_lines, days } = self;
        Some(StoreSettings { fsync, bytes, room_lines, days, ..StoreSettings::new(dir?) })
    }
}
