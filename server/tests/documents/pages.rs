//! The pages, their blocks, and how they are compared with what programs really say.

pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
pub const README: &str = include_str!("../../../README.md");
pub const ADMIN: &str = include_str!("../../../docs/admin.md");
pub const CHAT: &str = include_str!("../../../docs/chat.md");
pub const CLUSTER: &str = include_str!("../../../docs/cluster.md");
pub const LEAKS: &str = include_str!("../../../docs/finding-leaks.md");
pub const NATS: &str = include_str!("../../../docs/nats.md");
pub const OPERATIONS: &str = include_str!("../../../docs/operations.md");
pub const PUSH: &str = include_str!("../../../docs/push.md");
pub const START: &str = include_str!("../../../docs/start.md");

pub fn blocks_in<'p>(page: &'p str, language: &str) -> impl Iterator<Item = &'p str> {
    let begin = format!("```{language}\n");
    let blocks: Vec<&str> =
        page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    blocks.into_iter()
}

/// The page's block in this language that has this in it.
#[track_caller]
pub fn block<'p>(page: &'p str, language: &str, word: &str) -> &'p str {
    blocks_in(page, language).find(|block| block.contains(word)).expect("such a block")
}

/// The lines of the page's conversation that has this in it, without the command that begins it.
#[track_caller]
pub fn transcript<'p>(page: &'p str, word: &str) -> Vec<&'p str> {
    let mut blocks = blocks_in(page, "text").chain(blocks_in(page, "console"));
    let block = blocks.find(|block| block.contains(word)).unwrap_or_else(|| panic!("no {word}"));
    block.lines().filter(|line| !line.starts_with("$ ")).collect()
}

/// Whether a line is what a page has, where `...` stands for anything.
pub fn is_same(line: &str, page: &str) -> bool {
    let mut parts = page.split("...");
    let Some(mut rest) = parts.next().and_then(|begin| line.strip_prefix(begin)) else {
        return false;
    };
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.is_empty() || page.ends_with("...")
}

/// The first line of the page that does not come in what a program said, in its order. The program
/// may say more, and its figures may differ.
pub fn missing_line<'p>(said: &str, page: &'p str) -> Option<&'p str> {
    let mut said = said.lines();
    let mut page = page.lines().filter(|line| !line.is_empty() && *line != "...");
    page.find(|page| !said.any(|line| differs_in_figures_alone(line, page)))
}

fn differs_in_figures_alone(line: &str, page: &str) -> bool {
    let (mut line, mut page) = (line.split_whitespace(), page.split_whitespace());
    loop {
        match (line.next(), page.next()) {
            (None, None) => return true,
            (Some(word), Some(other)) if is_same(word, other) => {}
            (Some(word), Some(other)) if is_figure(word) && is_figure(other) => {}
            _ => return false,
        }
    }
}

/// A number, with its unit or in brackets. One with a colon is that of a line in the source.
fn is_figure(word: &str) -> bool {
    let number = word.trim_start_matches(['(', '[', '-']);
    number.starts_with(|first: char| first.is_ascii_digit()) && !word.ends_with(':')
}
