//! The people and rooms that all sessions share: who is here, under which name, in which rooms.
//! Without I/O.

pub mod moderation;
mod person;
pub mod rules;

use super::names::{LOBBY, Name, NameOf};
use crate::counted::counted;
use crate::locks::lock;
pub use person::{Person, Presence};
use rules::{Membership, Rules};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

/// People and rooms. A room exists while it has members, or rules that are kept.
pub struct Directory {
    state: Mutex<State>,
    limits: DirectoryLimits,
    /// Accounts that moderate every room.
    operators: HashSet<Name>,
}

/// How much a [`Directory`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Rooms at the same time.
    pub rooms: usize,
    /// Rooms that one person is in at the same time.
    pub rooms_per_person: usize,
    /// People in one room.
    pub room_members: usize,
}

#[derive(Default)]
struct State {
    last_person: u64,
    last_guest: u64,
    /// The owner of each look of a name, so that nobody takes a name that could be mistaken for
    /// it.
    looks: HashMap<String, PersonId>,
    people: HashMap<PersonId, Entry>,
    /// The names that have an account, and which of them looks like this.
    owned: HashSet<Name>,
    owned_looks: HashMap<String, Name>,
    rooms: BTreeMap<Name, Room>,
}

/// A person as others find them.
struct Entry {
    name: Name,
    presence: Arc<Presence>,
    account: Option<Name>,
    /// Why the person does not answer.
    away: Option<Arc<str>>,
}

#[derive(Default)]
struct Room {
    rules: Rules,
    /// In the order in which people came to the server.
    members: BTreeMap<PersonId, Arc<Membership>>,
}

/// A person's number, which stays when the name changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(u64);

/// A person who is here, as `/whois` shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonInfo {
    pub id: PersonId,
    /// The name as its owner writes it.
    pub name: Name,
    /// Why the person does not answer.
    pub away: Option<Arc<str>>,
}

/// A room as `/rooms` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    pub name: Name,
    pub members: usize,
    /// The room's topic, if somebody has set one.
    pub topic: Option<String>,
}

/// The first entries of a list, and how long the list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The entries, as many as were asked for.
    pub shown: Vec<T>,
    /// The length of the whole list.
    pub total: usize,
}

/// Why a person cannot have a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenameError {
    /// Somebody has it, or one that looks the same.
    Taken { name: Name, taken: Name },
    /// The name is reserved.
    Reserved(Name),
    /// It looks like a name that somebody owns.
    Owned { name: Name, owned: Name },
}

impl fmt::Display for RenameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { name, taken } if name == taken => {
                write!(out, "somebody here is called {name}; choose another name")
            }
            Self::Taken { name, taken } => {
                write!(out, "{name} looks like {taken}, who is here; choose another name")
            }
            Self::Reserved(name) => {
                write!(out, "{name} is a reserved name, or looks like one; choose another name")
            }
            Self::Owned { name, owned } if name == owned => {
                write!(out, "{owned} is somebody's; /login {owned} PASSWORD if it is yours")
            }
            Self::Owned { name, owned } => {
                write!(out, "{name} looks like {owned}, which is somebody's; choose another name")
            }
        }
    }
}

impl std::error::Error for RenameError {}

/// Why a room cannot be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// The person is in the room already.
    AlreadyIn,
    /// The person is in as many rooms as allowed.
    TooManyOfOnePerson(usize),
    /// The room has as many members as allowed.
    RoomFull(usize),
    /// The server has as many rooms as allowed.
    TooManyRooms(usize),
    /// The person may not come in.
    Banned,
    /// The room is for those who are invited.
    Private,
    /// The room has a password.
    Password,
    /// The password is wrong.
    WrongPassword,
}

impl fmt::Display for JoinError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyIn => write!(out, "you are in that room"),
            Self::TooManyOfOnePerson(max) => {
                let rooms = counted(max, "room");
                write!(out, "you are in {rooms}, the most there can be; /leave one")
            }
            Self::RoomFull(max) => {
                write!(out, "that room is full ({max} people); try another or come back later")
            }
            Self::Banned => write!(out, "you are banned from that room"),
            Self::Private => write!(out, "that room is for those who are invited"),
            Self::Password => write!(out, "that room has a password: /join ROOM PASSWORD"),
            // It begins like the one above, for programs that read it.
            Self::WrongPassword => write!(out, "that room has a password, and that is not it"),
            Self::TooManyRooms(max) => {
                write!(
                    out,
                    "there are {max} rooms, the most there can be; /rooms lists those to join"
                )
            }
        }
    }
}

impl std::error::Error for JoinError {}

impl Directory {
    /// Creates an empty directory. The accounts in `operators` moderate every room.
    pub fn new(limits: DirectoryLimits, operators: HashSet<Name>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), limits, operators })
    }

    /// Adds a person, under a free guest name.
    pub fn enter(self: &Arc<Self>) -> Person {
        let mut state = self.lock();
        let name = state.free_guest_name();
        state.last_person += 1;
        let id = PersonId(state.last_person);
        let presence = Arc::<Presence>::default();
        state.name(id, name.clone(), presence.clone());
        Person::new(self.clone(), id, name, presence)
    }

    /// The person who has this name.
    pub fn find(&self, name: &Name) -> Option<PersonInfo> {
        let state = self.lock();
        let id = state.alike(name)?;
        let entry = state.people.get(&id).filter(|entry| entry.name == *name)?;
        Some(PersonInfo { id, name: entry.name.clone(), away: entry.away.clone() })
    }

    /// The rooms that somebody is in, by name, as far as `asker` may know.
    pub fn rooms_of(&self, id: PersonId, asker: PersonId, at_most: usize) -> Vec<Name> {
        let state = self.lock();
        let rooms = state
            .rooms
            .iter()
            .filter(|(_, room)| room.members.contains_key(&id) && room.is_shown_to(asker));
        rooms.map(|(name, _)| name.clone()).take(at_most).collect()
    }

    /// The rooms that `asker` may know of, by name.
    pub fn rooms(&self, asker: PersonId, at_most: usize) -> Listing<RoomInfo> {
        let state = self.lock();
        let shown = || state.rooms.iter().filter(|(_, room)| room.is_shown_to(asker));
        let info = |(name, room): (&Name, &Room)| RoomInfo {
            name: name.clone(),
            members: room.members.len(),
            topic: room.rules.topic.clone(),
        };
        Listing { shown: shown().take(at_most).map(info).collect(), total: shown().count() }
    }

    /// The members of a room; `None` if there is no such room, as far as `asker` may know.
    pub fn members(&self, room: &Name, asker: PersonId, at_most: usize) -> Option<Listing<Name>> {
        let state = self.lock();
        let members = &state.rooms.get(room).filter(|room| room.is_shown_to(asker))?.members;
        let present = members.keys().filter_map(|id| state.people.get(id)).take(at_most);
        let shown = present.map(|entry| entry.name.clone()).collect();
        Some(Listing { shown, total: members.len() })
    }

    /// The rules of a room; `None` if there is no such room.
    pub fn rules(&self, room: &Name) -> Option<Rules> {
        self.lock().rooms.get(room).map(|room| room.rules.clone())
    }

    /// Sets the rules of a room, as the database has them.
    pub fn restore(&self, room: Name, rules: Rules) {
        self.lock().rooms.insert(room, Room { rules, members: BTreeMap::new() });
    }

    /// A room's topic.
    pub fn topic(&self, room: &Name) -> Option<String> {
        self.lock().rooms.get(room).and_then(|room| room.rules.topic.clone())
    }

    /// Keeps a name, and what looks like it, for its owner.
    pub fn own(&self, name: &Name) {
        let mut state = self.lock();
        state.owned_looks.extend(name.looks().map(|look| (look, name.clone())));
        state.owned.insert(name.clone());
    }

    /// Ends the ownership of a name, and its rank in every room. The first operator of a room that
    /// it founded becomes its founder. Returns the rules that have changed.
    pub fn disown(&self, name: &Name) -> Vec<(Name, Rules)> {
        let mut state = self.lock();
        state.owned.remove(name);
        state.owned_looks.retain(|_, owned| owned != name);
        for entry in state.people.values_mut().filter(|it| it.account.as_ref() == Some(name)) {
            entry.account = None;
        }
        let mut changed = Vec::new();
        for (room, of_room) in &mut state.rooms {
            if of_room.rules.disown(name) {
                changed.push((room.clone(), of_room.rules.clone()));
            }
        }
        state.rooms.retain(|name, room| !room.members.is_empty() || room.rules.are_kept(name));
        changed
    }

    /// How many names have an owner.
    pub fn owned_names(&self) -> usize {
        self.lock().owned.len()
    }

    /// How many people and how many rooms there are.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.people.len(), state.rooms.len())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn free_guest_name(&mut self) -> Name {
        loop {
            self.last_guest += 1;
            let guest =
                Name::parse(&format!("guest{}", self.last_guest), NameOf::Person, usize::MAX);
            match guest {
                Ok(name) if self.alike(&name).is_none() && self.owner(&name).is_none() => {
                    return name;
                }
                _ => {}
            }
        }
    }

    /// The owned name that looks like this one.
    fn owner(&self, name: &Name) -> Option<&Name> {
        name.looks().iter().find_map(|look| self.owned_looks.get(look))
    }

    /// The person whose name looks like this one.
    fn alike(&self, name: &Name) -> Option<PersonId> {
        name.looks().iter().find_map(|look| self.looks.get(look)).copied()
    }

    /// Gives a person a name that nobody else's looks like.
    fn name(&mut self, id: PersonId, name: Name, presence: Arc<Presence>) {
        let before = self.unname(id);
        let (away, account) = before.map_or((None, None), |entry| (entry.away, entry.account));
        self.looks.extend(name.looks().map(|look| (look, id)));
        self.people.insert(id, Entry { name, presence, account, away });
    }

    fn unname(&mut self, id: PersonId) -> Option<Entry> {
        let entry = self.people.remove(&id)?;
        for look in entry.name.looks() {
            self.looks.remove(&look);
        }
        Some(entry)
    }

    fn leave(&mut self, id: PersonId, room: &Name) {
        if let Some(entry) = self.rooms.get_mut(room) {
            entry.members.remove(&id);
            if entry.members.is_empty() && !entry.rules.are_kept(room) {
                self.rooms.remove(room);
            }
        }
    }
}

impl Room {
    /// Whether somebody may know that the room is there.
    fn is_shown_to(&self, asker: PersonId) -> bool {
        !self.rules.is_private || self.members.contains_key(&asker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DirectoryLimits =
        DirectoryLimits { rooms: 2, rooms_per_person: 2, room_members: 2 };

    fn name(text: &str, name_of: NameOf) -> Name {
        Name::parse(text, name_of, 24).unwrap()
    }

    fn person(text: &str) -> Name {
        name(text, NameOf::Person)
    }

    fn room(text: &str) -> Name {
        name(text, NameOf::Room)
    }

    #[test]
    fn guests_get_free_names_and_names_are_unique_but_for_case() {
        let directory = Directory::new(LIMITS, HashSet::new());
        let mut one = directory.enter();
        one.rename(person("guest2")).unwrap();
        let mut two = directory.enter();
        assert_eq!(two.name().as_str(), "guest3");
        let taken = || person("guest2");
        let refused = Err(RenameError::Taken { name: taken(), taken: taken() });
        assert_eq!(two.rename(person("GUEST2")), refused);
        one.rename(person("Guest2")).unwrap();
        assert_eq!(directory.find(&person("gUEST2")).unwrap().name.as_str(), "Guest2");
        drop(one);
        two.rename(person("guest2")).unwrap();
        drop(two);
        assert_eq!(directory.counts(), (0, 0));
    }

    #[test]
    fn nobody_takes_a_name_that_looks_like_anothers_or_the_servers() {
        let directory = Directory::new(LIMITS, HashSet::new());
        let (mut one, mut two) = (directory.enter(), directory.enter());
        one.rename(person("Alice")).unwrap();
        for alike in ["a1ice", "AIice", "аӏісе"] {
            let refused = two.rename(person(alike));
            assert_eq!(
                refused,
                Err(RenameError::Taken { name: person(alike), taken: person("alice") })
            );
            assert_eq!(directory.find(&person(alike)), None, "a message goes to nobody else");
        }
        assert_eq!(two.rename(person("R00t")), Err(RenameError::Reserved(person("r00t"))));
        // One may take a name that looks like one's own, and nothing of the old one stays taken.
        one.rename(person("a1ice")).unwrap();
        one.rename(person("eve")).unwrap();
        two.rename(person("alice")).unwrap();
        drop((one, two));
        assert!(lock(&directory.state).looks.is_empty());
    }

    #[test]
    fn a_room_is_gone_with_its_last_member() {
        let directory = Directory::new(LIMITS, HashSet::new());
        let (mut one, mut two) = (directory.enter(), directory.enter());
        assert_eq!((one.join(&room("a"), None), two.join(&room("A"), None)), (Ok(1), Ok(2)));
        one.set_topic(&room("a"), "letters");
        one.leave(&room("a"));
        assert_eq!(directory.topic(&room("a")).as_deref(), Some("letters"));
        drop(two);
        assert_eq!(directory.counts(), (1, 0));
        assert_eq!(one.join(&room("a"), None), Ok(1));
        assert_eq!(directory.topic(&room("a")), None);
    }

    #[test]
    fn every_bound_is_exact_and_gives_its_value() {
        let directory = Directory::new(LIMITS, HashSet::new());
        let mut people: Vec<Person> = (0..3).map(|_| directory.enter()).collect();
        assert_eq!(people[0].join(&room("a"), None), Ok(1));
        assert_eq!(people[0].join(&room("a"), None), Err(JoinError::AlreadyIn));
        assert_eq!(people[1].join(&room("a"), None), Ok(2));
        assert_eq!(people[2].join(&room("a"), None), Err(JoinError::RoomFull(2)));
        assert_eq!(people[0].join(&room("b"), None), Ok(1));
        assert_eq!(people[1].join(&room("c"), None), Err(JoinError::TooManyRooms(2)));
        assert_eq!(people[0].join(&room("c"), None), Err(JoinError::TooManyOfOnePerson(2)));
        people.clear();
        assert_eq!(directory.counts(), (0, 0));
    }

    #[test]
    fn a_released_name_is_free_while_its_owner_is_still_in_a_room() {
        let directory = Directory::new(LIMITS, HashSet::new());
        let (mut one, mut two) = (directory.enter(), directory.enter());
        one.join(&room("a"), None).unwrap();
        one.release_name();
        two.rename(one.name().clone()).unwrap();
        let members = directory.members(&room("a"), two.id(), 10).unwrap();
        assert_eq!((members.shown, members.total), (vec![], 1));
        drop(one);
        assert_eq!(&directory.find(two.name()).unwrap().name, two.name());
    }
}
