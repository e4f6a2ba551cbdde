//! The format of nats-server's configuration files, as its own parser reads it. A pure function on
//! text: [`Outside`] gives it other files and the environment.

use crate::limits::{NATS_FILE_DEPTH, NATS_FILE_VALUES};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A key, its value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub value: Value,
    pub at: At,
    /// Whether a later value refers to it, so that its key need not be a setting.
    pub is_variable: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Self>),
    Block(Vec<Entry>),
}

/// A place in a file; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    pub file: Arc<Path>,
    pub line: usize,
    pub column: usize,
}

/// A mistake and its place. Never holds a value, which could be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub at: At,
    pub problem: String,
}

/// The things that a file can refer to: other files, and environment variables.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    pub read: &'a dyn Fn(&Path) -> Result<String, String>,
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let At { file, line, column } = &self.at;
        write!(out, "{} line {line}, column {column}: {}", file.display(), self.problem)
    }
}

/// Parses the text of a file into its entries.
pub fn parse(text: &str, file: &Path, outside: Outside<'_>) -> Result<Vec<Entry>, Mistake> {
    let mut values = 0;
    Parser::new(text, file.into(), outside, &mut values, 0).file()
}

struct Parser<'a> {
    rest: std::str::Chars<'a>,
    at: At,
    outside: Outside<'a>,
    /// The blocks that are open, innermost last: variables are looked up in them.
    open: Vec<Vec<Entry>>,
    /// The number of values in all files.
    values: &'a mut usize,
    /// The number of blocks, lists and files around the next value.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(
        text: &'a str,
        file: Arc<Path>,
        outside: Outside<'a>,
        values: &'a mut usize,
        depth: usize,
    ) -> Self {
        let at = At { file, line: 1, column: 1 };
        Self { rest: text.chars(), at, outside, open: Vec::new(), values, depth }
    }

    fn file(mut self) -> Result<Vec<Entry>, Mistake> {
        self.skip_space(true)?;
        // A file in JSON is one block.
        let end = (self.peek() == Some('{')).then(|| self.next()).and(Some('}'));
        let entries = self.entries(end)?;
        self.skip_space(true)?;
        match self.peek() {
            None => Ok(entries),
            Some(_) => Err(self.mistake("nothing may follow the block that is the file")),
        }
    }

    /// The entries up to the end of the block, or of the text.
    fn entries(&mut self, end: Option<char>) -> Result<Vec<Entry>, Mistake> {
        let began = self.at.clone();
        self.open.push(Vec::new());
        loop {
            self.skip_space(true)?;
            match self.peek() {
                None if end.is_none() => break,
                None => return Err(unclosed(began, "block")),
                next if next == end => {
                    self.next();
                    break;
                }
                Some(_) => self.entry()?,
            }
        }
        Ok(self.open.pop().unwrap_or_default())
    }

    fn entry(&mut self) -> Result<(), Mistake> {
        let at = self.at.clone();
        let key = self.key()?;
        self.skip_space(false)?;
        let has_separator = matches!(self.peek(), Some('=' | ':'));
        if key.eq_ignore_ascii_case("include") && !has_separator {
            return self.include(&at);
        }
        if has_separator {
            self.next();
            self.skip_blanks();
        }
        let value = self.value()?;
        self.add(Entry { key, value, at, is_variable: false });
        Ok(())
    }

    fn add(&mut self, entry: Entry) {
        if let Some(block) = self.open.last_mut() {
            // The last value of a key counts.
            block.retain(|present| present.key != entry.key);
            block.push(entry);
        }
    }

    fn key(&mut self) -> Result<String, Mistake> {
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            return self.quoted(quote);
        }
        let key = self.take_while(|next| !next.is_whitespace() && !"=:{".contains(next));
        if key.is_empty() { Err(self.mistake("a key is missing")) } else { Ok(key) }
    }

    /// Takes the entries of another file, whose path is relative to this one's directory.
    fn include(&mut self, at: &At) -> Result<(), Mistake> {
        let path = match self.value()? {
            Value::Text(path) => path,
            _ => return Err(self.mistake("include needs the path of a file")),
        };
        let path: PathBuf = at.file.parent().unwrap_or(Path::new("")).join(path);
        let of_include = |problem: String| Mistake { at: at.clone(), problem };
        let text = (self.outside.read)(&path)
            .map_err(|error| of_include(format!("{} {error}", path.display())))?;
        self.go_deeper()?;
        let inner =
            Parser::new(&text, path.into(), self.outside, &mut *self.values, self.depth).file()?;
        self.depth -= 1;
        inner.into_iter().for_each(|entry| self.add(entry));
        Ok(())
    }

    fn value(&mut self) -> Result<Value, Mistake> {
        self.count(1)?;
        match self.peek() {
            Some('{') => {
                self.go_deeper()?;
                self.next();
                let entries = self.entries(Some('}'))?;
                self.depth -= 1;
                Ok(Value::Block(entries))
            }
            Some('[') => {
                self.go_deeper()?;
                let list = self.list()?;
                self.depth -= 1;
                Ok(Value::List(list))
            }
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Value::Text),
            Some('(') => self.text_block().map(Value::Text),
            _ => self.bare(),
        }
    }

    fn list(&mut self) -> Result<Vec<Value>, Mistake> {
        let began = self.at.clone();
        self.next();
        let mut list = Vec::new();
        loop {
            self.skip_space(true)?;
            match self.peek() {
                Some(']') => {
                    self.next();
                    return Ok(list);
                }
                Some(_) => list.push(self.value()?),
                None => return Err(unclosed(began, "list")),
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, Mistake> {
        let began = self.at.clone();
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some(next) if next == quote => return Ok(text),
                Some('\\') if quote == '"' => text.push(self.escaped()?),
                Some(next) => text.push(next),
                None => return Err(unclosed(began, "text")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Mistake> {
        match self.next() {
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some(same @ ('"' | '\\')) => Ok(same),
            Some('x') => {
                let digits: String = [self.next(), self.next()].into_iter().flatten().collect();
                let code = u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii);
                code.map(char::from).ok_or_else(|| self.mistake("\\x needs two digits, up to 7f"))
            }
            _ => Err(self.mistake("no such escape; there are \\n \\r \\t \\\" \\\\ and \\x")),
        }
    }

    /// A text in parentheses: all lines up to the one with the closing parenthesis.
    fn text_block(&mut self) -> Result<String, Mistake> {
        let began = self.at.clone();
        self.next();
        let mut text = String::new();
        loop {
            let line = self.take_while(|next| next != '\n');
            if line.trim() == ")" {
                return Ok(text.trim().to_owned());
            }
            if self.next().is_none() {
                let problem = "the text that begins here needs a last line: )".to_owned();
                return Err(Mistake { at: began, problem });
            }
            text.push_str(&line);
            text.push('\n');
        }
    }

    fn bare(&mut self) -> Result<Value, Mistake> {
        let at = self.at.clone();
        let word = self.take_while(|next| !next.is_whitespace() && !",;]}".contains(next));
        let wrong = |problem: &str| Mistake { at: at.clone(), problem: problem.to_owned() };
        if word.is_empty() {
            return Err(wrong("a value is missing"));
        }
        if let Some(name) = word.strip_prefix('$').filter(|name| !name.starts_with("2a$")) {
            let unknown = "the variable is neither in the file nor in the environment; put a text \
                           that begins with $ in quotation marks";
            return self.variable(name)?.ok_or_else(|| wrong(unknown));
        }
        match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => return Ok(Value::Flag(true)),
            "false" | "no" | "off" => return Ok(Value::Flag(false)),
            _ => {}
        }
        if let Some(number) = integer(&word) {
            return number.map(Value::Integer).ok_or_else(|| wrong("the number is too large"));
        }
        let is_float = word.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
        match word.parse() {
            Ok(number) if is_float => Ok(Value::Float(number)),
            _ => Ok(Value::Text(word)),
        }
    }

    /// The value of a variable: of a key in the innermost block, or one further out, or else in the
    /// environment, written as in a file.
    fn variable(&mut self, name: &str) -> Result<Option<Value>, Mistake> {
        let mut entries = self.open.iter_mut().rev().flatten();
        if let Some(entry) = entries.find(|entry| entry.key == name) {
            entry.is_variable = true;
            let value = entry.value.clone();
            self.count(size(&value))?;
            return Ok(Some(value));
        }
        let Some(text) = (self.outside.variable)(name) else { return Ok(None) };
        self.go_deeper()?;
        let (file, depth) = (self.at.file.clone(), self.depth);
        let value = Parser::new(&text, file, self.outside, &mut *self.values, depth).value();
        self.depth -= 1;
        // A place in the variable would mislead.
        let here = |inner: Mistake| Mistake { at: self.at.clone(), ..inner };
        value.map(Some).map_err(here)
    }

    fn go_deeper(&mut self) -> Result<(), Mistake> {
        self.depth += 1;
        let too_deep = self.depth > NATS_FILE_DEPTH;
        if too_deep {
            Err(self.mistake("too many blocks or files within each other"))
        } else {
            Ok(())
        }
    }

    fn count(&mut self, more: usize) -> Result<(), Mistake> {
        *self.values += more;
        let too_many = *self.values > NATS_FILE_VALUES;
        if too_many { Err(self.mistake("too many values")) } else { Ok(()) }
    }

    /// Passes over blanks, ends of lines and comments; with `separators`, commas and semicolons.
    fn skip_space(&mut self, separators: bool) -> Result<(), Mistake> {
        loop {
            match self.peek() {
                Some('#') => drop(self.take_while(|next| next != '\n')),
                Some('/') if self.rest.as_str().starts_with("//") => {
                    self.take_while(|next| next != '\n');
                }
                Some(',' | ';') if separators => drop(self.next()),
                Some(next) if next.is_whitespace() => drop(self.next()),
                _ => return Ok(()),
            }
        }
    }

    fn skip_blanks(&mut self) {
        self.take_while(|next| next.is_whitespace() && next != '\n');
    }

    fn take_while(&mut self, is_taken: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.peek().filter(|next| is_taken(*next)) {
            taken.push(next);
            self.next();
        }
        taken
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            (self.at.line, self.at.column) = (self.at.line + 1, 1);
        } else {
            self.at.column += 1;
        }
        Some(next)
    }

    fn mistake(&self, problem: &str) -> Mistake {
        Mistake { at: self.at.clone(), problem: problem.to_owned() }
    }
}

/// A whole number, perhaps with a unit: `k` is 1000, `kb` 1024. `None` if it is something else,
/// `Some(None)` if it is too large.
fn integer(word: &str) -> Option<Option<i64>> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(word.len() - digits.len() + count);
    if count == 0 {
        return None;
    }
    let unit = unit.to_ascii_lowercase();
    let power = match unit.chars().next() {
        None => 0,
        Some(first) => 1 + "kmgtpe".find(first)? as u32,
    };
    let base: i64 = match unit.get(1..) {
        None | Some("") => 1000,
        Some("b" | "i" | "ib") => 1024,
        Some(_) => return None,
    };
    let number = number.parse::<i64>().ok();
    Some(number.and_then(|number| number.checked_mul(base.checked_pow(power)?)))
}

fn unclosed(began: At, what: &str) -> Mistake {
    Mistake { at: began, problem: format!("the {what} that begins here is not closed") }
}

/// The number of values in a value, with itself.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::List(values) => values.iter().map(size).sum(),
        Value::Block(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Entry>, Mistake> {
        let read = |path: &Path| match path.to_str() {
            Some("folder/more.conf") => Ok("inner: 7".to_owned()),
            Some("folder/loop.conf") => Ok("include loop.conf".to_owned()),
            _ => Err("cannot be read".to_owned()),
        };
        let variable = |name: &str| match name {
            "PORT" => Some("4333".to_owned()),
            "AGAIN" => Some("$AGAIN".to_owned()),
            _ => None,
        };
        let outside = Outside { read: &read, variable: &variable };
        parse(text, Path::new("folder/test.conf"), outside)
    }

    fn value(text: &str) -> Value {
        parsed(text).unwrap().pop().unwrap().value
    }

    fn texts(texts: &[&str]) -> Value {
        Value::List(texts.iter().map(|text| Value::Text((*text).to_owned())).collect())
    }

    #[test]
    fn values_are_written_in_many_ways() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (written, expected) in [
            ("a: 5", Value::Integer(5)),
            ("a=-1", Value::Integer(-1)),
            ("a 5k # a comment", Value::Integer(5000)),
            ("a: 1KB; b: 64mb", Value::Integer(64 << 20)),
            ("a: 1.5 // a comment", Value::Float(1.5)),
            ("a: Yes", Value::Flag(true)),
            ("a: off", Value::Flag(false)),
            ("a: 127.0.0.1:4222", text("127.0.0.1:4222")),
            ("a: nats://u:p@h:7422", text("nats://u:p@h:7422")),
            ("a: 10s", text("10s")),
            ("a: \"q \\\"x\\\" \\x41\"", text("q \"x\" A")),
            ("a: 'raw \\n'", text("raw \\n")),
            ("a: $2a$11$abc", text("$2a$11$abc")),
            ("\"a\": (\n line 1\n line 2\n)\n", text("line 1\n line 2")),
            ("a: [x, 'y'\n z]", texts(&["x", "y", "z"])),
            ("a: $PORT", Value::Integer(4333)),
            (
                "b: 6\nc { a: $b }",
                Value::Block(vec![Entry {
                    key: "a".to_owned(),
                    value: Value::Integer(6),
                    at: At { file: Path::new("folder/test.conf").into(), line: 2, column: 5 },
                    is_variable: false,
                }]),
            ),
            ("include more.conf", Value::Integer(7)),
            ("{\"a\": 1, \"b\": [\"x\"]}", texts(&["x"])),
            ("a: 1\na: 2", Value::Integer(2)),
        ] {
            assert_eq!(value(written), expected, "{written}");
        }
        assert_eq!(parsed(" # nothing\n").unwrap(), []);
    }

    #[test]
    fn mistakes_say_where_and_never_what() {
        for (written, line, column) in [
            ("a: 1\nb: {\n c: 1", 2, 5),
            ("a:", 1, 3),
            ("a:\nb: 1", 1, 3),
            ("a: [secret", 1, 4),
            ("a: \"secret", 1, 4),
            ("a: (\nsecret", 1, 4),
            ("a: $secret", 1, 4),
            ("a: $AGAIN", 1, 10),
            ("a: 99999999999999999999", 1, 4),
            ("include secrets.conf", 1, 1),
            ("include loop.conf", 1, 18),
            ("{a: 1} secret", 1, 8),
            ("a: \"\\q\"", 1, 7),
            ("}", 1, 2),
        ] {
            let mistake = parsed(written).unwrap_err();
            assert!(!mistake.problem.contains("$s") && !mistake.problem.contains("secret "));
            assert_eq!(
                (mistake.at.line, mistake.at.column),
                (line, column),
                "{written}: {mistake}"
            );
        }
        let deep = "a: ".to_owned() + &"[".repeat(10_000);
        assert!(parsed(&deep).unwrap_err().problem.contains("within each other"));
        let doubling: String = (0..64).map(|n| format!("a{}: [$a{n}, $a{n}]\n", n + 1)).collect();
        assert!(parsed(&format!("a0: 1\n{doubling}")).unwrap_err().problem.contains("too many"));
    }

    #[test]
    fn no_text_makes_it_panic() {
        let mut random = fastrand::Rng::with_seed(15);
        let pieces = [
            "a", ":", "=", " ", "\n", "{", "}", "[", "]", "(", ")\n", "\"", "'", "\\", "#", "//",
            "$", "$a", "5kb", "-", ",", ";", "include ", "é", "\u{0}", "true", "1.5.", "$2a$",
        ];
        for _ in 0..20_000 {
            let text: String =
                (0..random.usize(..24)).map(|_| random.choice(pieces).unwrap()).collect();
            let _ = parsed(&text);
        }
    }
}
