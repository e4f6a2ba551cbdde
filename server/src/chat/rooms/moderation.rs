//! Moderation of a room: the acts, who may perform them, and their effect.

use super::rules::{Rank, Rules, password_digest};
use super::{Person, PersonId, Room, State};
use crate::chat::names::Name;
use crate::limits::{KEPT_ROOMS, ROOM_RULE_NAMES};
use std::collections::BTreeSet;
use std::fmt;

/// An act of moderation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Puts somebody out.
    Kick(Name),
    /// Puts somebody out and keeps them out.
    Ban(Name),
    /// Ends a ban.
    Unban(Name),
    /// Lets somebody read but not talk.
    Mute(Name),
    /// Lets somebody talk again.
    Unmute(Name),
    /// Lets somebody in, whatever the room's password.
    Invite(Name),
    /// Makes somebody an operator of the room.
    Op(Name),
    /// Ends that.
    Deop(Name),
    /// Sets the room's password, or takes it away.
    Password(Option<String>),
    /// Hides the room from those who are not invited, or ends that.
    Private(bool),
    /// Sets the seconds between two lines of one person; 0 for none.
    Slow(u32),
}

/// Why an act is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActError {
    /// The person is not in that room.
    NotIn,
    /// Only people of this rank or a higher one may do that.
    NotAllowed(Rank),
    /// The same, in a room without a founder.
    NoFounder,
    /// The target has the same rank or a higher one.
    Protected(Name),
    /// The name is not banned, muted or an operator, so that cannot end.
    NotSo(Name, &'static str),
    /// The room has no member of that name.
    NotThere(Name),
    /// Only somebody with an account can be an operator.
    NoAccount(Name),
    /// A list is full.
    TooMany,
    /// The founder has as many rooms with rules as allowed.
    TooManyRooms,
}

impl fmt::Display for ActError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIn => write!(out, "you are in no such room"),
            Self::NotAllowed(Rank::Founder) => {
                write!(out, "only the room's founder may do that")
            }
            Self::NotAllowed(_) => {
                write!(out, "only the room's founder and operators may do that")
            }
            Self::NoFounder => write!(
                out,
                "this room has no founder, so only the server's operators may do that; somebody \
                 logged in who opens a room is its founder"
            ),
            Self::Protected(name) => write!(out, "{name} keeps order here too"),
            Self::NotThere(name) => write!(out, "{name} is not in this room"),
            Self::NotSo(name, what) => write!(out, "{name} is not {what} in this room"),
            Self::NoAccount(name) => {
                write!(out, "{name} has no account; first {name} has to /register one")
            }
            Self::TooMany => {
                write!(out, "that list has {ROOM_RULE_NAMES} names, the most there can be")
            }
            Self::TooManyRooms => {
                write!(out, "the founder has {KEPT_ROOMS} rooms with rules, the most there can be")
            }
        }
    }
}

impl std::error::Error for ActError {}

impl Person {
    /// The person's rank in a room.
    pub fn rank(&self, room: &Name) -> Rank {
        let state = self.directory.lock();
        let rules = state.rooms.get(room).map(|room| &room.rules);
        rules.map_or(Rank::Member, |rules| self.rank_by(rules))
    }

    /// Performs an act of moderation in a room. Returns the new rules.
    pub fn act(&self, room: &Name, act: &Act, notice: &str) -> Result<Rules, ActError> {
        let mut state = self.directory.lock();
        let State { rooms, people, looks, owned, .. } = &mut *state;
        let found = rooms.get(room).filter(|room| room.members.contains_key(&self.id));
        let of_room = found.ok_or(ActError::NotIn)?;
        let rank = self.rank_by(&of_room.rules);
        let needed = match act {
            Act::Op(_) | Act::Deop(_) => Rank::Founder,
            _ => Rank::Operator,
        };
        if rank < needed {
            let has_founder = of_room.rules.founder.is_some();
            return Err(if has_founder {
                ActError::NotAllowed(needed)
            } else {
                ActError::NoFounder
            });
        }
        let present = |name: &Name| {
            let id = name.looks().iter().find_map(|look| looks.get(look)).copied()?;
            let is_it = people.get(&id).is_some_and(|entry| entry.name == *name);
            (is_it && of_room.members.contains_key(&id)).then_some(id)
        };
        let target = act.target().map(|name| (name, present(name)));
        if let Some((name, id)) = target {
            // A name stands for its owner's account, since nobody else can take it.
            let account = id.and_then(|id| people.get(&id)?.account.as_ref()).unwrap_or(name);
            let is_against = matches!(act, Act::Kick(_) | Act::Ban(_) | Act::Mute(_));
            if is_against && self.rank_of(&of_room.rules, account) >= rank {
                return Err(ActError::Protected(name.clone()));
            }
            if matches!(act, Act::Kick(_)) && id.is_none() {
                return Err(ActError::NotThere(name.clone()));
            }
            if matches!(act, Act::Op(_)) && !owned.contains(name) {
                return Err(ActError::NoAccount(name.clone()));
            }
        }
        let rules = of_room.rules.clone().after(room, act)?;
        if rules.are_kept(room) && !of_room.rules.are_kept(room) {
            let kept = rooms.iter().filter(|(name, room)| room.rules.are_kept(name));
            let by_founder = kept.filter(|(_, room)| room.rules.founder == rules.founder);
            if by_founder.count() >= KEPT_ROOMS {
                return Err(ActError::TooManyRooms);
            }
        }
        let put_out = target.and_then(|(_, id)| id).filter(|_| act.puts_out());
        if let Some(of_room) = rooms.get_mut(room) {
            of_room.rules = rules.clone();
            put_out.into_iter().for_each(|id| of_room.put_out(id, notice));
            for (id, membership) in &of_room.members {
                let name = people.get(id).map(|entry| entry.name.folded());
                let is_muted = name.is_some_and(|name| rules.muted.contains(name));
                membership.update(is_muted, rules.slow_s);
            }
        }
        Ok(rules)
    }

    /// The person's rank by these rules.
    pub(super) fn rank_by(&self, rules: &Rules) -> Rank {
        self.account.as_ref().map_or(Rank::Member, |account| self.rank_of(rules, account))
    }

    fn rank_of(&self, rules: &Rules, account: &Name) -> Rank {
        match self.directory.operators.contains(account) {
            true => Rank::ServerOperator,
            false => rules.rank(Some(account)),
        }
    }
}

impl Room {
    fn put_out(&mut self, id: PersonId, notice: &str) {
        if let Some(membership) = self.members.remove(&id) {
            membership.remove(notice.to_owned());
        }
    }
}

impl Act {
    /// The person it is aimed at, if any.
    pub fn target(&self) -> Option<&Name> {
        match self {
            Self::Kick(name)
            | Self::Ban(name)
            | Self::Unban(name)
            | Self::Mute(name)
            | Self::Unmute(name)
            | Self::Invite(name)
            | Self::Op(name)
            | Self::Deop(name) => Some(name),
            Self::Password(_) | Self::Private(_) | Self::Slow(_) => None,
        }
    }

    /// Whether it puts its target out of the room.
    pub fn puts_out(&self) -> bool {
        matches!(self, Self::Kick(_) | Self::Ban(_))
    }
}

impl Rules {
    fn after(mut self, room: &Name, act: &Act) -> Result<Self, ActError> {
        match act {
            Act::Kick(_) => {}
            Act::Ban(name) => {
                self.invited.remove(name.folded());
                add(&mut self.banned, name)?;
            }
            Act::Unban(name) => remove(&mut self.banned, name, "banned")?,
            Act::Mute(name) => add(&mut self.muted, name)?,
            Act::Unmute(name) => remove(&mut self.muted, name, "muted")?,
            Act::Invite(name) => {
                self.banned.remove(name.folded());
                add(&mut self.invited, name)?;
            }
            Act::Op(name) => add(&mut self.operators, name)?,
            Act::Deop(name) => remove(&mut self.operators, name, "an operator")?,
            Act::Password(password) => {
                self.password = password.as_deref().map(|password| password_digest(room, password));
            }
            Act::Private(is_private) => self.is_private = *is_private,
            Act::Slow(slow_s) => self.slow_s = *slow_s,
        }
        Ok(self)
    }
}

fn add(names: &mut BTreeSet<String>, name: &Name) -> Result<(), ActError> {
    if names.len() >= ROOM_RULE_NAMES && !names.contains(name.folded()) {
        return Err(ActError::TooMany);
    }
    names.insert(name.folded().to_owned());
    Ok(())
}

fn remove(names: &mut BTreeSet<String>, name: &Name, what: &'static str) -> Result<(), ActError> {
    match names.remove(name.folded()) {
        true => Ok(()),
        false => Err(ActError::NotSo(name.clone(), what)),
    }
}
