//! From addresses in this program to places in its source.

use super::profile::Frame;
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

/// Remembers what it has looked up: the same functions are in most stacks.
#[derive(Default)]
pub(super) struct Symbols {
    known: HashMap<usize, Rc<[Frame<'static>]>>,
}

impl Symbols {
    /// The functions that a return address is in, innermost first: several where calls were
    /// compiled into their callers.
    pub fn frames(&mut self, return_address: usize) -> Rc<[Frame<'static>]> {
        // The call is before the address to which it returns, which may be in the next function
        // already.
        let address = return_address.saturating_sub(1);
        self.known.entry(address).or_insert_with(|| resolve(address).into()).clone()
    }
}

/// The crate `backtrace` keeps tens of megabytes of the program's file, too much for an occasional
/// profile.
impl Drop for Symbols {
    fn drop(&mut self) {
        backtrace::clear_symbol_cache();
    }
}

fn resolve(address: usize) -> Vec<Frame<'static>> {
    let mut frames = Vec::new();
    backtrace::resolve(address as *mut c_void, |symbol| {
        let Some(name) = symbol.name() else { return };
        frames.push(Frame {
            function: format!("{name:#}").into(),
            file: symbol
                .filename()
                .map(|file| file.to_string_lossy().into_owned())
                .unwrap_or_default()
                .into(),
            line: symbol.lineno().unwrap_or(0),
        });
    });
    if frames.is_empty() {
        frames.push(Frame { function: format!("{address:#x}").into(), file: "".into(), line: 0 });
    }
    frames
}
