//! One person who is here: their name, and the rooms that they are in.

use super::rules::{Membership, Rank, Rules};
use super::{Directory, JoinError, LOBBY, PersonId, RenameError, Room};
use crate::chat::names::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by a person and the writing half of the person's connection.
#[derive(Debug, Default)]
pub struct Presence {
    is_displaced: AtomicBool,
}

impl Presence {
    /// Marks the person as displaced: the owner of the name has logged in elsewhere.
    pub fn displace(&self) {
        self.is_displaced.store(true, Ordering::Release);
    }

    /// Whether the owner of the name has logged in elsewhere.
    pub fn is_displaced(&self) -> bool {
        self.is_displaced.load(Ordering::Acquire)
    }
}

/// A person who is here. Dropping it frees the name and leaves the rooms.
pub struct Person {
    pub(super) directory: Arc<Directory>,
    pub(super) id: PersonId,
    pub(super) name: Name,
    presence: Arc<Presence>,
    /// The name that the person has proven to own.
    pub(super) account: Option<Name>,
    rooms: Vec<Name>,
    memberships: HashMap<Name, Arc<Membership>>,
}

impl Person {
    /// Somebody who has just come, and is in no room.
    pub(super) fn new(
        directory: Arc<Directory>,
        id: PersonId,
        name: Name,
        presence: Arc<Presence>,
    ) -> Self {
        let memberships = HashMap::new();
        Self { directory, id, name, presence, account: None, rooms: Vec::new(), memberships }
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub fn id(&self) -> PersonId {
        self.id
    }

    /// The name that the person has proven to own.
    pub fn account(&self) -> Option<&Name> {
        self.account.as_ref()
    }

    /// For the writing half of the person's connection.
    pub fn presence(&self) -> &Arc<Presence> {
        &self.presence
    }

    /// The person's rooms, in the order of joining.
    pub fn rooms(&self) -> &[Name] {
        &self.rooms
    }

    /// The directory that the person is in.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Takes another name and frees the old one, unless the new one is reserved, or somebody else
    /// has it or one that looks like it.
    pub fn rename(&mut self, name: Name) -> Result<(), RenameError> {
        if name.is_reserved() {
            return Err(RenameError::Reserved(name));
        }
        let mut state = self.directory.lock();
        if let Some(owned) = state.owner(&name).filter(|owned| Some(*owned) != self.account()) {
            let owned = owned.clone();
            return Err(RenameError::Owned { name, owned });
        }
        let mut looks = name.looks().into_iter();
        let others =
            looks.find_map(|look| state.looks.get(&look).copied().filter(|id| *id != self.id));
        if let Some(owner) = others {
            let taken = state.people.get(&owner).map_or_else(|| name.clone(), |of| of.name.clone());
            return Err(RenameError::Taken { name, taken });
        }
        state.name(self.id, name.clone(), self.presence.clone());
        drop(state);
        self.name = name;
        Ok(())
    }

    /// Takes the name that the person has proven to own. Anybody who has it, or one that looks like
    /// it, is displaced: it is another connection of the same owner. Returns the names of the
    /// displaced.
    pub fn log_in(&mut self, name: Name) -> Vec<Name> {
        let mut state = self.directory.lock();
        let looks = name.looks();
        let others: BTreeSet<PersonId> =
            looks.iter().filter_map(|look| state.looks.get(look).copied()).collect();
        let mut displaced = Vec::new();
        for id in others.into_iter().filter(|id| *id != self.id) {
            if let Some(entry) = state.unname(id) {
                entry.presence.displace();
                displaced.push(entry.name);
            }
        }
        state.name(self.id, name.clone(), self.presence.clone());
        if let Some(entry) = state.people.get_mut(&self.id) {
            entry.account = Some(name.clone());
        }
        drop(state);
        self.account = Some(name.clone());
        self.name = name;
        displaced
    }

    /// Ends the person's ownership, but not the use of the present name. Returns the name that was
    /// owned.
    pub fn log_out(&mut self) -> Option<Name> {
        self.account.take()
    }

    /// The person as a member of a room.
    pub fn membership(&self, room: &Name) -> Option<&Arc<Membership>> {
        self.memberships.get(room)
    }

    /// Joins a room, or opens it if there is none. Somebody with an account who opens a room is its
    /// founder. Returns the number of members.
    pub fn join(&mut self, room: &Name, password: Option<&str>) -> Result<usize, JoinError> {
        let limits = self.directory.limits;
        if self.rooms.contains(room) {
            return Err(JoinError::AlreadyIn);
        }
        if self.rooms.len() >= limits.rooms_per_person {
            return Err(JoinError::TooManyOfOnePerson(limits.rooms_per_person));
        }
        let mut state = self.directory.lock();
        let count = state.rooms.len();
        let found = match state.rooms.get_mut(room) {
            Some(found) => found,
            None if count >= limits.rooms => return Err(JoinError::TooManyRooms(limits.rooms)),
            None => {
                let is_founded = room.as_str() != LOBBY;
                let founder = self.account.as_ref().filter(|_| is_founded);
                let founder = founder.map(|account| account.folded().to_owned());
                let rules = Rules { founder, ..Rules::default() };
                state.rooms.entry(room.clone()).or_insert(Room { rules, members: BTreeMap::new() })
            }
        };
        self.may_join(room, &found.rules, password)?;
        if found.members.len() >= limits.room_members {
            return Err(JoinError::RoomFull(limits.room_members));
        }
        let is_muted = found.rules.muted.contains(self.name.folded());
        let membership = Arc::new(Membership::new(is_muted, found.rules.slow_s));
        found.members.insert(self.id, membership.clone());
        self.rooms.push(room.clone());
        self.memberships.insert(room.clone(), membership);
        Ok(found.members.len())
    }

    fn may_join(
        &self,
        room: &Name,
        rules: &Rules,
        password: Option<&str>,
    ) -> Result<(), JoinError> {
        let is_listed = |names: &BTreeSet<String>| {
            let of_account = self.account.as_ref().is_some_and(|it| names.contains(it.folded()));
            names.contains(self.name.folded()) || of_account
        };
        if self.rank_by(rules) > Rank::Member {
            return Ok(());
        }
        if is_listed(&rules.banned) {
            return Err(JoinError::Banned);
        }
        if is_listed(&rules.invited) {
            return Ok(());
        }
        match rules.password.is_some() && !rules.is_password(room, password) {
            _ if rules.is_private => Err(JoinError::Private),
            true if password.is_some() => Err(JoinError::WrongPassword),
            true => Err(JoinError::Password),
            false => Ok(()),
        }
    }

    /// Sets what a room is about. Returns the new rules.
    pub fn set_topic(&self, room: &Name, topic: &str) -> Option<Rules> {
        let mut state = self.directory.lock();
        let found = state.rooms.get_mut(room)?;
        found.rules.topic = Some(topic.to_owned());
        Some(found.rules.clone())
    }

    /// Forgets the rooms that the person was put out of.
    pub fn drop_removed(&mut self) {
        let memberships = &mut self.memberships;
        let is_in = |room: &Name| memberships.get(room).is_some_and(|it| it.removed().is_none());
        if !self.rooms.iter().all(is_in) {
            self.rooms.retain(is_in);
            memberships.retain(|_, membership| membership.removed().is_none());
        }
    }

    /// Says why the person does not answer, or that the person is back.
    pub fn set_away(&self, away: Option<&str>) {
        if let Some(entry) = self.directory.lock().people.get_mut(&self.id) {
            entry.away = away.map(Arc::from);
        }
    }

    /// Leaves a room. A room without members is gone.
    pub fn leave(&mut self, room: &Name) {
        self.rooms.retain(|joined| joined != room);
        let was_in = self.memberships.remove(room);
        // After a kick the membership has ended already, and may have begun anew.
        if was_in.is_some_and(|membership| membership.removed().is_none()) {
            self.directory.lock().leave(self.id, room);
        }
    }

    /// Frees the name, so that nobody is found under it any more.
    pub fn release_name(&mut self) {
        let _ = self.directory.lock().unname(self.id);
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.release_name();
        for room in std::mem::take(&mut self.rooms) {
            self.leave(&room);
        }
    }
}
