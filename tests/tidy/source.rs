//! Reading a source file the way the rules need it: code apart from comments and literals, and
//! which lines are tests.
//!
//! This is not a parser. It knows just enough of Rust's grammar never to take a comment or a string
//! for code.

use std::fmt;
use std::path::Path;

/// One source file, split up once and then looked at by every rule.
pub struct Source {
    /// Relative to the package, with `/` between the parts: `src/broker/topic.rs`.
    pub path: String,
    pub lines: Vec<Line>,
    /// The whole file with comments and literals blanked out, so that an offset or a line number
    /// means the same in both.
    code: Vec<char>,
}

/// One line of a file.
pub struct Line {
    pub text: String,
    /// The line with comments and literals blanked out.
    pub code: String,
    /// The line's comment, doc comments included, and nothing else.
    pub comment: String,
    /// Whether the line is compiled for tests alone.
    pub in_tests: bool,
}

/// A path such as `std::io::Read` as the code names it; of a `use` with braces, one for each name
/// in them.
#[derive(Debug, PartialEq)]
pub struct NamedPath {
    /// Counted from 1.
    pub line: usize,
    pub parts: Vec<String>,
}

/// A place where a rule is broken.
#[derive(Debug, PartialEq)]
pub struct Finding {
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let code_text: String = code.iter().collect();
        let mut lines: Vec<Line> = text
            .lines()
            .zip(code_text.lines().zip(comments.lines()))
            .map(|(text, (code, comment))| Line {
                text: text.to_owned(),
                code: code.to_owned(),
                comment: comment.to_owned(),
                in_tests: false,
            })
            .collect();
        for (first, last) in test_items(&code) {
            lines[first..=last].iter_mut().for_each(|line| line.in_tests = true);
        }
        Self { path: path.to_owned(), lines, code }
    }

    /// Where the file stands in the module tree: `["broker", "topic"]`; empty for `src/lib.rs` and
    /// `src/main.rs`.
    pub fn module(&self) -> Vec<&str> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<&str> = inner.split('/').collect();
        if parts.last() == Some(&"mod") || matches!(inner, "lib" | "main") {
            parts.pop();
        }
        parts
    }

    /// The modules that are compiled for tests alone and stand in a file of their own, as the start
    /// of that file's path.
    pub fn outlined_test_modules(&self) -> Vec<String> {
        let folder = match self.module().join("/") {
            module if module.is_empty() => "src".to_owned(),
            module => format!("src/{module}"),
        };
        test_items(&self.code)
            .into_iter()
            .filter_map(|(_, last)| {
                self.lines[last].code.trim().strip_suffix(';')?.rsplit_once("mod ")
            })
            .map(|(_, name)| format!("{folder}/{name}"))
            .collect()
    }

    pub fn mark_all_as_tests(&mut self) {
        self.lines.iter_mut().for_each(|line| line.in_tests = true);
    }

    /// Every path and every name in the code, keywords included: it is for the rules to know which
    /// matter to them.
    pub fn named_paths(&self) -> Vec<NamedPath> {
        let mut reader = PathReader { code: &self.code, at: 0, line: 1, found: Vec::new() };
        while reader.at < self.code.len() {
            if is_name(self.code[reader.at]) {
                reader.read_path(&mut Vec::new());
            } else {
                reader.pass();
            }
        }
        reader.found
    }

    /// Every function with a body outside tests: the line it begins on, counted from 1, and how
    /// many lines it has.
    pub fn functions(&self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (at, _) in self.code.iter().enumerate().filter(|(_, c)| **c == 'f') {
            let is_word = at == 0 || !is_name(self.code[at - 1]);
            if !is_word || !starts_with(&self.code, at, "fn ") {
                continue;
            }
            let first = line_of(&self.code, at);
            let last = line_of(&self.code, item_end(&self.code, at));
            if !self.lines[first].in_tests {
                found.push((first + 1, last - first + 1));
            }
        }
        found
    }

    pub fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }
}

/// All files under `package` that a rule may want to see; build output and hidden folders other
/// than `.ci` left out.
pub fn read_package(package: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    read_folder(package, package, &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));

    let test_modules: Vec<String> = sources
        .iter()
        .filter(|source| source.path.starts_with("src/"))
        .flat_map(Source::outlined_test_modules)
        .collect();
    for source in &mut sources {
        let is_test = |module: &String| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if test_modules.iter().any(is_test) {
            source.mark_all_as_tests();
        }
    }
    sources
}

fn read_folder(package: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the package can be read") {
        let entry = entry.expect("a folder of the package can be read");
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name == ".ci" || !(name.starts_with('.') || name == "target") {
                read_folder(package, &path, sources);
            }
            continue;
        }
        let inside = path.strip_prefix(package).expect("the file was found in the package");
        let inside = inside.to_string_lossy().replace('\\', "/");
        if inside == ".ci/run" || [".rs", ".toml", ".md"].iter().any(|end| name.ends_with(end)) {
            let text = std::fs::read_to_string(&path).expect("a file of the package is UTF-8");
            sources.push(Source::new(&inside, &text));
        }
    }
}

#[derive(PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The text's code and its comments, each with everything else blanked out.
fn split(text: &str) -> (Vec<char>, String) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = Vec::with_capacity(chars.len());
    let mut comments = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (kind, end) = next_piece(&chars, at);
        for &c in &chars[at..end] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(if kind == Kind::Code { c } else { blank });
            comments.push(if kind == Kind::Comment { c } else { blank });
        }
        at = end;
    }
    (code, comments)
}

/// What begins at `at`, and where it ends.
fn next_piece(chars: &[char], at: usize) -> (Kind, usize) {
    match chars[at] {
        '/' if starts_with(chars, at, "//") => (Kind::Comment, find(chars, at, '\n')),
        '/' if starts_with(chars, at, "/*") => (Kind::Comment, block_comment_end(chars, at)),
        '"' => (Kind::Literal, quoted_end(chars, at, '"')),
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => {
            (Kind::Literal, quoted_end(chars, at, '\''))
        }
        c if is_name(c) => {
            let end = name_end(chars, at);
            let word: String = chars[at..end].iter().collect();
            match raw_string_end(chars, end) {
                Some(end) if matches!(word.as_str(), "r" | "br" | "cr") => (Kind::Literal, end),
                _ => (Kind::Code, end),
            }
        }
        _ => (Kind::Code, at + 1),
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        if starts_with(chars, at, "/*") {
            depth += 1;
            at += 2;
        } else if starts_with(chars, at, "*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at.min(chars.len())
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of a raw string whose `#`s and quote begin at `start`, if one does.
fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let mut at = start + hashes + 1;
    while at < chars.len() && !starts_with(chars, at, &close) {
        at += 1;
    }
    Some((at + close.len()).min(chars.len()))
}

/// First and last line, counted from 0, of every item that is compiled for tests or loom models
/// alone.
fn test_items(code: &[char]) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for at in (0..code.len()).filter(|at| code[*at] == '#') {
        let attribute: String = code[at..find(code, at, ']')].iter().collect();
        let (inner, attribute) = match attribute.strip_prefix("#![cfg(") {
            Some(rest) => (true, rest),
            None => (false, attribute.strip_prefix("#[cfg(").unwrap_or_default()),
        };
        if is_for_tests(attribute) {
            let end = if inner { code.len() - 1 } else { item_end(code, find(code, at, ']')) };
            items.push((line_of(code, at), line_of(code, end)));
        }
    }
    items
}

/// Whether a condition such as `test)` or `all(unix, test))` holds in tests and loom models alone.
fn is_for_tests(condition: &str) -> bool {
    let condition = condition.strip_prefix("all(").unwrap_or(condition).trim_end_matches(')');
    let mut parts = condition.split(',').map(str::trim);
    parts.any(|part| part == "test" || part == "fanfare_loom")
}

/// Where the item that begins after `start` ends: at its `;`, or where its braces close.
fn item_end(code: &[char], start: usize) -> usize {
    let mut open = 0;
    for (at, c) in code.iter().enumerate().skip(start + 1) {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open -= 1,
            _ => {}
        }
        if open <= 0 && matches!(c, '}' | ';') {
            return at;
        }
    }
    code.len() - 1
}

/// Reads the paths that code names.
struct PathReader<'a> {
    code: &'a [char],
    at: usize,
    /// Counted from 1.
    line: usize,
    found: Vec<NamedPath>,
}

impl PathReader<'_> {
    /// Reads the path that begins here, after `prefix`.
    fn read_path(&mut self, prefix: &mut Vec<String>) {
        let outer = prefix.len();
        loop {
            let end = name_end(self.code, self.at);
            prefix.push(self.code[self.at..end].iter().collect());
            self.at = end;
            if !starts_with(self.code, self.at, "::") {
                break;
            }
            match self.code.get(self.at + 2) {
                Some('{') => {
                    self.at += 3;
                    self.read_group(prefix);
                    prefix.truncate(outer);
                    return;
                }
                Some(c) if is_name(*c) => self.at += 2,
                _ => break,
            }
        }
        self.found.push(NamedPath { line: self.line, parts: prefix.clone() });
        prefix.truncate(outer);
    }

    /// Reads the names between the braces of a `use`, each with `prefix` before it, to the end of
    /// the group.
    fn read_group(&mut self, prefix: &mut Vec<String>) {
        while self.at < self.code.len() && self.code[self.at] != '}' {
            if is_name(self.code[self.at]) {
                self.read_path(prefix);
                // What `as` gives is a new name for the same thing, so it says nothing about where
                // the path leads.
                if starts_with(self.code, self.at, " as ") {
                    self.at = name_end(self.code, self.at + " as ".len());
                }
                continue;
            }
            self.pass();
        }
        self.at = (self.at + 1).min(self.code.len());
    }

    /// Passes what is no name.
    fn pass(&mut self) {
        self.line += usize::from(self.code[self.at] == '\n');
        self.at += 1;
    }
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn name_end(chars: &[char], at: usize) -> usize {
    at + chars[at..].iter().take_while(|c| is_name(**c)).count()
}

fn starts_with(chars: &[char], at: usize, what: &str) -> bool {
    let mut rest = chars[at..].iter();
    what.chars().all(|c| rest.next() == Some(&c))
}

fn find(chars: &[char], at: usize, what: char) -> usize {
    at + chars[at..].iter().take_while(|c| **c != what).count()
}

/// Counted from 0.
fn line_of(code: &[char], at: usize) -> usize {
    code[..at].iter().filter(|c| **c == '\n').count()
}
