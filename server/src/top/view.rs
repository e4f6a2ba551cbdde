//! The view, which the keys change.

use serde_json::Value;

/// The byte that Ctrl-C sends in raw mode.
const INTERRUPT: u8 = 3;

/// The text shown for `?`.
pub const HELP: &str = "\
Keys

q, Ctrl-C  end
s          the slowest subscriptions first: those that block or lose the most
m          those with the most messages queued first
f          the fullest first
w          those waited for the longest first
d          those that dropped the most first
?          these lines, and back

The figures are rates since the frame before, where they say /s.
";

/// A column that the subscriptions can be sorted by, the largest first.
pub struct Column {
    key: u8,
    title: &'static str,
    /// Its name in `/slowz`.
    figure: &'static str,
}

pub const QUEUED: Column = Column { key: b'm', title: "QUEUED", figure: "queued_messages" };
pub const FULL: Column = Column { key: b'f', title: "FULL", figure: "full_percent" };
pub const WAITED: Column = Column { key: b'w', title: "WAITED FOR", figure: "waited_for_ms" };
pub const DROPPED: Column = Column { key: b'd', title: "DROPPED", figure: "dropped" };

/// The view that the person at the terminal has chosen.
#[derive(Default)]
pub struct View {
    /// The column that the subscriptions are sorted by; `None` for the server's own order.
    sorted_by: Option<Column>,
    /// Whether there are keys to press.
    pub takes_keys: bool,
    /// Whether the keys are explained instead.
    pub is_help: bool,
}

impl View {
    /// In the server's own order.
    pub fn new(takes_keys: bool) -> Self {
        Self { takes_keys, ..Self::default() }
    }

    /// A key is pressed. False if it ends everything.
    pub fn press(&mut self, key: u8) -> bool {
        match key {
            b'q' | INTERRUPT => return false,
            b'?' => self.is_help = !self.is_help,
            b's' => self.sorted_by = None,
            key => {
                let mut columns = [QUEUED, FULL, WAITED, DROPPED].into_iter();
                if let Some(column) = columns.find(|column| column.key == key) {
                    self.sorted_by = Some(column);
                }
            }
        }
        true
    }

    /// The rows of `/slowz` in their order.
    pub fn sorted<'v>(&self, rows: &'v Value) -> Vec<&'v Value> {
        let mut rows: Vec<&Value> = rows.as_array().into_iter().flatten().collect();
        if let Some(column) = &self.sorted_by {
            let figure = |row: &Value| row[column.figure].as_f64().unwrap_or(0.0);
            rows.sort_by(|one, other| figure(other).total_cmp(&figure(one)));
        }
        rows
    }

    /// The title of a column, with a mark if the rows are sorted by it.
    pub fn title(&self, column: &Column) -> String {
        let is_it = self.sorted_by.as_ref().is_some_and(|sorted| sorted.key == column.key);
        format!("{}{}", if is_it { "*" } else { "" }, column.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_sort_explain_and_end() {
        let rows = json!([{"dropped": 1, "full_percent": 9}, {"dropped": 5, "full_percent": 2}]);
        let mut view = View::default();
        let first = |view: &View| view.sorted(&rows)[0]["dropped"].clone();
        assert_eq!(first(&view), 1, "the server's order");
        assert!(view.press(b'd') && first(&view) == 5);
        assert_eq!(
            (view.title(&DROPPED).as_str(), view.title(&FULL).as_str()),
            ("*DROPPED", "FULL")
        );
        assert!(view.press(b'f') && first(&view) == 1);
        assert!(view.press(b'd') && view.press(b's') && first(&view) == 1);
        assert!(view.press(b'?') && view.is_help);
        assert!(view.press(b'?') && !view.is_help);
        assert!(!view.press(b'q') && !view.press(INTERRUPT));
        for column in [QUEUED, FULL, WAITED, DROPPED] {
            assert!(HELP.contains(&format!("\n{} ", char::from(column.key))), "{}", column.title);
        }
    }
}
