//! What the client knows of where it is: its name, its rooms, who is there, and what was shown
//! last. State without I/O: lines of the server go in, lines to show come out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Lines of one's own that are remembered, to know them in a room's history. Why: a history shows
/// no more of them. When hit: an older one is shown again after a lost connection.
const OWN_LINES: usize = 100;

/// Names that are remembered for completion. When hit: they are forgotten, and learned again.
const NAMES: usize = 10_000;

/// The room that the server brings everybody to.
const LOBBY: &str = "lobby";

/// Where a person is.
#[derive(Debug, Default)]
pub struct Place {
    nick: String,
    talks_in: Option<String>,
    rooms: BTreeMap<String, Room>,
    names: BTreeSet<String>,
    own_lines: VecDeque<String>,
    /// Lines that let the person in: a password, a login.
    credentials: Vec<String>,
    /// The day of the line shown last.
    day: String,
    /// Answers of the server so far about where the person talks, and refusals.
    moves: u64,
    /// Whether what was lost is being brought back: what the server answers to that is not shown.
    is_returning: bool,
}

/// The command that ends a return, and its answer.
const END_OF_RETURN: (&str, &str) = ("/ping", "pong");

#[derive(Debug, Default)]
struct Room {
    /// The words typed after `/join`.
    typed: String,
    /// Whether the client has asked who is here.
    asks_who: bool,
    /// The time of the line shown last, and the lines of that second.
    last: Option<(String, Vec<String>)>,
    /// When the connection was lost, if nothing that is newer has come since.
    returned: Option<(String, Vec<String>)>,
    /// Whether the history goes back to what was shown last.
    goes_on: bool,
}

/// The outcome of a line from the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Lines to show, without their ends.
    pub shown: Vec<String>,
    /// A line to send to the server.
    pub asked: Option<String>,
}

impl Place {
    /// The room that the person talks in.
    pub fn talks_in(&self) -> Option<&str> {
        self.talks_in.as_deref()
    }

    /// The prompt, with as much of that room's name as `width` characters have room for.
    pub fn prompt(&self, width: usize) -> String {
        const END: &str = "> ";
        let room = self.talks_in().unwrap_or_default().chars();
        room.take(width.saturating_sub(END.len())).chain(END.chars()).collect()
    }

    /// How often the server has said where the person talks, or refused something.
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// Takes a line that the server says, without its end.
    pub fn take(&mut self, line: &str) -> Taken {
        let (time, rest) = split_time(line);
        if let Some((room, sender, _)) = said(rest) {
            self.knows(sender);
            if self.was_shown(room, time, rest) {
                return Taken::default();
            }
            self.note_shown(room, time, rest);
            let mut taken = self.gap(room);
            self.show(&mut taken, time, rest);
            return taken;
        }
        let mut taken = Taken::default();
        if time.is_none() {
            self.moves += u64::from(rest.starts_with("! "));
            let is_known = match rest.strip_prefix("* ") {
                Some(notice) => self.learn(notice, &mut taken) || self.is_returning,
                None => false,
            };
            self.is_returning &= rest.strip_prefix("* ") != Some(END_OF_RETURN.1);
            if is_known {
                return taken;
            }
        } else if let Some((name, _)) = rest.strip_prefix("* ").and_then(|it| it.split_once(' ')) {
            self.knows(name);
        }
        if self.is_put_out(rest) {
            // Even an empty line makes the server say where the person talks now.
            taken.asked = Some(String::new());
        }
        self.show(&mut taken, time, rest);
        taken
    }

    /// Takes a line that the person says.
    pub fn say(&mut self, line: &str) {
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match command.to_lowercase().as_str() {
            "/password" | "/login" => {
                self.credentials.retain(|other| !other.starts_with(command));
                self.credentials.push(line.to_owned());
            }
            "/join" => {
                let name = rest.split(' ').next().unwrap_or_default().to_lowercase();
                self.rooms.entry(name).or_default().typed = rest.to_owned();
            }
            _ => {
                self.own_lines.truncate(OWN_LINES - 1);
                self.own_lines.push_front(line.to_owned());
            }
        }
    }

    /// The connection is lost. What brings the person back to where it was, once there is another.
    pub fn lose(&mut self) -> Vec<String> {
        for room in self.rooms.values_mut() {
            room.returned = room.last.clone();
            room.goes_on = room.last.is_none();
            room.asks_who = false;
        }
        self.is_returning = true;
        let mut lines = self.credentials.clone();
        lines.extend([format!("/nick {}", self.nick), "/time iso".to_owned()]);
        // The server has brought the person to the lobby, and shown lines without their times.
        lines.extend(match self.rooms.contains_key(LOBBY) {
            true => vec![format!("/join {LOBBY}"), "/history".to_owned()],
            false => vec![format!("/leave {LOBBY}")],
        });
        // Where the person talks is the room that is joined last.
        let is_last = |name: &str| self.talks_in.as_deref() == Some(name);
        let mut rooms: Vec<_> = self.rooms.iter().collect();
        rooms.sort_by_key(|(name, _)| is_last(name));
        for (name, room) in rooms {
            let typed = if room.typed.is_empty() { name } else { &room.typed };
            lines.push(format!("/join {typed}"));
        }
        lines.push(END_OF_RETURN.0.to_owned());
        lines
    }

    /// Completions of a line: where the word begins, and the words.
    pub fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let begin = line.rfind(' ').map_or(0, |space| space + 1);
        let word = line[begin..].to_lowercase();
        let is_it = |name: &&String| name.to_lowercase().starts_with(&word);
        let end = if begin == 0 { ": " } else { " " };
        let names = self.names.iter().filter(is_it).map(|name| format!("{name}{end}"));
        let rooms = self.rooms.keys().filter(is_it).map(|name| format!("{name} "));
        let words = match line {
            _ if word.is_empty() => Vec::new(),
            _ if line.starts_with("/join ") || line.starts_with("/leave ") => rooms.collect(),
            _ => names.collect(),
        };
        (begin, words)
    }

    /// Learns from an answer. True if nobody has to see it.
    fn learn(&mut self, notice: &str, taken: &mut Taken) -> bool {
        let words: Vec<&str> = notice.split(' ').collect();
        match words[..] {
            // After a return the name is asked for that the person had.
            ["welcome", "to", _, "you", "are", nick, ..] if !self.is_returning => {
                self.nick = nick.trim_end_matches('.').to_owned();
            }
            ["you", "are", "now", nick] => self.nick = nick.to_owned(),
            ["you", "are", "in", room, _, "here)"] => {
                self.talk_in(Some(room));
                let known = self.rooms.entry(room.to_owned()).or_default();
                known.asks_who = true;
                taken.asked = Some(format!("/who {room}"));
            }
            ["you", "now", "talk", "in", room] => self.talk_in(Some(room)),
            ["you", "left", room, ref rest @ ..] => {
                self.rooms.remove(room.trim_end_matches(';'));
                self.talk_in(match rest {
                    ["you", "talk", "in", next] => Some(next),
                    _ => None,
                });
            }
            [_, "in", room, ref people @ ..] => {
                let Some(room) = room.strip_suffix(':').and_then(|it| self.rooms.get_mut(it))
                else {
                    return false;
                };
                let is_asked = std::mem::take(&mut room.asks_who);
                people.iter().for_each(|name| self.knows(name.trim_end_matches(',')));
                return is_asked;
            }
            _ => {}
        }
        false
    }

    /// Whether a line says that somebody has put this person out of a room.
    fn is_put_out(&self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        matches!(words[..], ["*", _, "removed" | "banned", name, "from", _, ..]
            if name.to_lowercase() == self.nick.to_lowercase())
    }

    fn talk_in(&mut self, room: Option<&str>) {
        self.moves += 1;
        self.talks_in = room.map(str::to_owned);
    }

    fn knows(&mut self, name: &str) {
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        if !name.is_empty() && name != self.nick && !name.starts_with('(') {
            self.names.insert(name.to_owned());
        }
    }

    /// Whether a line of a room was shown before the connection was lost, or is one's own.
    fn was_shown(&mut self, room: &str, time: Option<&str>, line: &str) -> bool {
        let Some(room) = self.rooms.get_mut(room).filter(|_| self.is_returning) else {
            return false;
        };
        // Lines without a time come a second time with it.
        let Some(time) = time else { return true };
        if let Some((last, lines)) = &room.returned
            && time <= last.as_str()
        {
            room.goes_on = true;
            if time < last.as_str() || lines.iter().any(|shown| shown == line) {
                return true;
            }
        }
        let own = said(line).filter(|(_, sender, _)| *sender == self.nick);
        let own = own.and_then(|(.., text)| self.own_lines.iter().position(|own| own == text));
        room.goes_on |= own.is_some();
        own.and_then(|index| self.own_lines.remove(index)).is_some()
    }

    fn note_shown(&mut self, room: &str, time: Option<&str>, line: &str) {
        let (Some(time), Some(room)) = (time, self.rooms.get_mut(room)) else { return };
        match &mut room.last {
            Some((last, lines)) if last == time => lines.push(line.to_owned()),
            // A history that was asked for shows older lines.
            Some((last, _)) if last.as_str() > time => {}
            last => *last = Some((time.to_owned(), vec![line.to_owned()])),
        }
    }

    /// A notice that lines may be missing, before the first new one after a return.
    fn gap(&mut self, room: &str) -> Taken {
        let room = self.rooms.get_mut(room);
        let is_gap = room.is_some_and(|room| room.returned.take().is_some() && !room.goes_on);
        let shown = is_gap.then(|| "(lines may be missing here)".to_owned());
        Taken { shown: shown.into_iter().collect(), asked: None }
    }

    /// Adds a line with the time of day, and the day before it if that is another one.
    fn show(&mut self, taken: &mut Taken, time: Option<&str>, rest: &str) {
        let Some((day, time)) = time.and_then(|time| time.split_once('T')) else {
            return taken.shown.push(rest.to_owned());
        };
        if self.day != day {
            self.day = day.to_owned();
            taken.shown.push(format!("* {day}"));
        }
        taken.shown.push(format!("{} {rest}", &time[..time.len().min(5)]));
    }
}

/// The time before a line, such as `2026-11-21T17:05:09Z`, and what follows it.
fn split_time(line: &str) -> (Option<&str>, &str) {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    match line.split_once(' ') {
        Some((time, rest))
            if time.len() == FORM.len()
                && time.bytes().zip(FORM).all(|(byte, form)| match form {
                    b'd' => byte.is_ascii_digit(),
                    form => byte == *form,
                }) =>
        {
            (Some(time), rest)
        }
        _ => (None, line),
    }
}

/// The room, the sender and the text of what was said. No name has a space or a bracket in it.
fn said(line: &str) -> Option<(&str, &str, &str)> {
    let (room, rest) = match line.strip_prefix("(private) ") {
        Some(rest) => ("", rest),
        None => line.strip_prefix('[')?.split_once("] ")?,
    };
    let (sender, text) = match rest.strip_prefix("* ") {
        Some(action) => action.split_once(' ')?,
        None => rest.split_once(": ")?,
    };
    Some((room, sender, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody called alice in the lobby.
    fn place() -> Place {
        let mut place = Place::default();
        place.take("* welcome to fanfare; you are guest1. /nick NAME takes a name, ...");
        let here = place.take("* you are in lobby (2 here)");
        assert_eq!(here.asked.as_deref(), Some("/who lobby"));
        assert_eq!(place.take("* 2 in lobby: guest1, bob"), Taken::default());
        place.take("* you are now alice");
        place
    }

    fn shown(place: &mut Place, lines: &[&str]) -> Vec<String> {
        lines.iter().flat_map(|line| place.take(line).shown).collect()
    }

    #[test]
    fn lines_have_the_time_of_day_and_the_day_when_it_changes() {
        let lines = [
            "2026-11-21T17:05:09Z [lobby] bob: hi",
            "2026-11-21T17:06:00Z * eve joined lobby",
            "2026-11-22T01:00:00Z (private) bob: psst",
            "* pong",
        ];
        let expected = [
            "* 2026-11-21",
            "17:05 [lobby] bob: hi",
            "17:06 * eve joined lobby",
            "* 2026-11-22",
            "01:00 (private) bob: psst",
            "* pong",
        ];
        assert_eq!(shown(&mut place(), &lines), expected);
    }

    #[test]
    fn it_knows_where_it_talks_and_completes_names() {
        let mut place = place();
        place.take("2026-11-21T17:05:09Z [lobby] * bobby waves");
        place.say("/join Rust word");
        assert_eq!(place.complete("bo"), (0, vec!["bob: ".to_owned(), "bobby: ".to_owned()]));
        assert_eq!(place.complete("hi BO"), (3, vec!["bob ".to_owned(), "bobby ".to_owned()]));
        assert_eq!(place.complete("/join l"), (6, vec!["lobby ".to_owned()]));
        assert_eq!(place.complete("hi "), (3, Vec::new()));
        place.take("* you are in rust (1 here)");
        assert_eq!(place.talks_in(), Some("rust"));
        assert_eq!(place.take("* bob removed eve from rust").asked, None);
        assert_eq!(place.take("* bob removed Alice from rust (loud)").asked.as_deref(), Some(""));
        place.take("* you left rust; you talk in lobby");
        assert_eq!(place.talks_in(), Some("lobby"));
        assert_eq!([place.prompt(6), place.prompt(9)], ["lobb> ", "lobby> "]);
        place.take("* you left lobby; you are in no room");
        assert_eq!(place.talks_in(), None);
    }

    #[test]
    fn it_returns_to_its_rooms_and_shows_what_it_has_not_shown() {
        let mut place = place();
        place.say("/login alice secret");
        place.say("/join rust word");
        place.take("* you are in rust (1 here)");
        place.take("2026-11-21T17:05:09Z [rust] bob: one");
        place.take("2026-11-21T17:05:10Z [rust] bob: two");
        place.say("mine");
        place.take("* you now talk in lobby");
        assert_eq!(
            place.lose(),
            [
                "/login alice secret",
                "/nick alice",
                "/time iso",
                "/join lobby",
                "/history",
                "/join rust word",
                "/join lobby",
                "/ping",
            ]
        );
        let history = [
            "2026-11-21T17:05:09Z [rust] bob: one",
            "2026-11-21T17:05:10Z [rust] bob: two",
            "2026-11-21T17:05:10Z [rust] bob: three",
            "2026-11-21T17:05:11Z [rust] alice: mine",
            "2026-11-21T17:05:12Z [rust] bob: four",
        ];
        let welcome = ["* welcome to fanfare; you are guest7. /nick", "[lobby] bob: no time"];
        assert_eq!(shown(&mut place, &welcome), [""; 0]);
        let new = ["17:05 [rust] bob: three", "17:05 [rust] bob: four"];
        assert_eq!(shown(&mut place, &history), new);
        assert_eq!(shown(&mut place, &["! no", "* pong", "* pong"]), ["! no", "* pong"]);
        place.lose();
        let gap = ["(lines may be missing here)", "17:07 [rust] bob: nine"];
        assert_eq!(shown(&mut place, &["2026-11-21T17:07:00Z [rust] bob: nine"]), gap);
    }
}
