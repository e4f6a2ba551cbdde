//! The thread that writes: it gathers lines and requests, and commits them together.

use super::error::StoreError;
use super::lines;
use super::schema::Database;
use super::shared::{Answering, SYNC_TOPIC, Shared, Work};
use crate::counted::counted;
use crate::limits::{
    COMMIT_BYTES, COMMIT_LINES, COMMIT_REQUESTS, COMMIT_WAIT_MS, FORGETTING_LINES, ROOMS,
    STORE_QUEUE_BYTES, STORE_QUEUE_LINES, TOLD_ROOMS,
};
use crate::locks::lock;
use crate::message::{Kind, ServerMessage};
use crate::tasks::timeout;
use crate::time::Timestamp;
use fanfare::{
    Batch, Broker, Mailbox, MailboxDelivery, Origin, Pattern, Publisher, SubscriptionId,
    SubscriptionWatch, Topic, WhenFull,
};
use futures_lite::future;
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

const ROOM_PREFIX: &str = "chat.room.";

pub(super) struct Worker {
    database: Database,
    shared: Arc<Shared>,
    mailbox: Mailbox<ServerMessage>,
    syncs: SubscriptionId,
    publisher: Publisher<ServerMessage>,
    line_bytes: usize,
    turn: Turn,
    /// Lost lines by room, as long as the file does not say that they are missing. The empty name
    /// stands for unknown rooms.
    lost: BTreeMap<String, u64>,
    /// Lines stored in each room since it was last searched for lines to forget.
    since_forgetting: HashMap<String, u32>,
}

/// The contents of one commit.
#[derive(Default)]
struct Turn {
    batches: Vec<Batch<ServerMessage>>,
    lines: usize,
    bytes: usize,
    /// Lines missing after these.
    missed: u64,
    /// Inboxes to notify once everything before is stored.
    syncs: Vec<Topic>,
    requests: Vec<Work>,
    is_last: bool,
}

impl Worker {
    pub fn new(
        database: Database,
        broker: &Broker<ServerMessage>,
        shared: Arc<Shared>,
        line_bytes: usize,
    ) -> Result<Self, StoreError> {
        let closed = |error: fanfare::SubscribeError| StoreError::Failed(error.to_string());
        let topic = |text: &str| {
            Pattern::parse(text).map_err(|error| StoreError::Failed(error.to_string()))
        };
        let origin = Origin::unique();
        let mailbox = broker
            .mailbox("chat store")
            .queue_messages(STORE_QUEUE_LINES)
            .queue_bytes(STORE_QUEUE_BYTES)
            .when_full(WhenFull::DropNewest)
            .no_echo(origin)
            .open()
            .map_err(closed)?;
        mailbox.subscribe(&topic("chat.room.*")?).map_err(closed)?;
        let syncs = mailbox.subscribe(&topic(SYNC_TOPIC)?).map_err(closed)?;
        let publisher = broker.publisher_as(origin);
        Ok(Self {
            database,
            shared,
            mailbox,
            syncs,
            publisher,
            line_bytes,
            turn: Turn::default(),
            lost: BTreeMap::new(),
            since_forgetting: HashMap::new(),
        })
    }

    pub fn watch(&self) -> SubscriptionWatch<ServerMessage> {
        self.mailbox.watch()
    }

    pub fn run(mut self) {
        while !self.turn.is_last {
            self.turn = Turn::default();
            future::block_on(self.gather());
            self.commit();
        }
        // From here on requests are refused. Those that still wait are told that the server is
        // ending.
        let mut requests = lock(&self.shared.requests);
        requests.is_closed = true;
        let late = std::mem::take(&mut requests.waiting);
        drop(requests);
        late.into_iter().for_each(|late| (late.work)(Err(StoreError::Closed))(None));
        // The file is closed before `Store::close` returns.
        let shared = self.shared.clone();
        drop(self);
        shared.has_ended.store(true, Ordering::Release);
        shared.ended.notify(usize::MAX);
    }

    /// Waits for something to store, then a little longer for more: one commit costs as much as
    /// dozens of lines. During that second wait only `hurry` wakes the thread. A wake-up for each
    /// line would slow the publishers down more than the database does.
    async fn gather(&mut self) {
        poll_fn(|context| self.poll_first(context)).await;
        if !self.turn.is_due() {
            timeout(Duration::from_millis(COMMIT_WAIT_MS), self.hurried()).await;
        }
        // Cleared before the rest is taken: a caller publishes or asks first, and hurries then.
        self.shared.is_hurried.store(false, Ordering::Release);
        self.take_ready();
    }

    /// Waits until there is something in the turn.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Registered before looking: whoever asks in between wakes us.
        self.shared.worker.register(context.waker());
        let is_asked = self.take_requests();
        match self.mailbox.poll_recv_batch(context) {
            Poll::Ready(Some(delivery)) => self.turn.take(delivery, self.syncs),
            // A closed broker delivers nothing more, but requests may still come.
            _ if is_asked || self.shared.is_closing() => {}
            _ => return Poll::Pending,
        }
        Poll::Ready(())
    }

    async fn hurried(&self) {
        poll_fn(|context| {
            self.shared.worker.register(context.waker());
            let is_hurried = self.shared.is_hurried.load(Ordering::Acquire);
            if is_hurried || self.shared.is_closing() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Takes what has arrived, as much as one commit may have.
    fn take_ready(&mut self) {
        // Read before the requests: nothing is asked after the store is closed.
        let is_closing = self.shared.is_closing();
        self.take_requests();
        while !self.turn.is_full() {
            match self.mailbox.try_recv_batch() {
                Ok(delivery) => self.turn.take(delivery, self.syncs),
                Err(_) => {
                    self.turn.is_last = is_closing && self.turn.requests.len() < COMMIT_REQUESTS;
                    return;
                }
            }
        }
    }

    fn take_requests(&mut self) -> bool {
        let mut requests = lock(&self.shared.requests);
        let taken = requests.waiting.len().min(COMMIT_REQUESTS - self.turn.requests.len());
        let bytes: usize = requests.waiting.iter().take(taken).map(|request| request.bytes).sum();
        requests.bytes -= bytes;
        self.turn.requests.extend(requests.waiting.drain(..taken));
        taken > 0
    }

    fn commit(&mut self) {
        let now = Timestamp::now();
        self.count(|shared| &shared.figures.missed, self.turn.missed);
        let mut answers = Vec::new();
        let requests = std::mem::take(&mut self.turn.requests);
        let result = self.write(requests, &mut answers, now).map_err(StoreError::from);
        match &result {
            Ok(stored) => self.committed(*stored, now),
            Err(error) => self.failed(error, now),
        }
        for answer in answers {
            answer(result.as_ref().err().cloned());
        }
        for sync in std::mem::take(&mut self.turn.syncs) {
            // Fails only if the person has left, so the inbox is gone.
            let _ = self.publisher.try_publish(&sync, ServerMessage::default());
        }
        self.turn.batches.clear();
    }

    /// Writes one transaction. Returns the number of lines.
    fn write(
        &mut self,
        requests: Vec<Work>,
        answers: &mut Vec<Answering>,
        now: Timestamp,
    ) -> rusqlite::Result<u64> {
        let transaction = self.database.connection.unchecked_transaction()?;
        for (room, lines) in &self.lost {
            lines::insert_gap(&transaction, room, *lines, now)?;
        }
        let stored = lines::insert(&transaction, self.turn.lines(), self.line_bytes)?;
        if self.turn.missed > 0 {
            lines::insert_gap(&transaction, "", self.turn.missed, now)?;
        }
        let room_lines = self.database.settings.room_lines;
        for batch in &self.turn.batches {
            let since = self.since_forgetting.entry(room_of(batch.topic()).to_owned());
            // A room is searched when it is first seen, and then after each FORGETTING_LINES.
            let since = since.or_insert(FORGETTING_LINES);
            *since += batch.len() as u32;
            if *since >= FORGETTING_LINES {
                *since = 0;
                lines::forget_beyond(&transaction, room_of(batch.topic()), room_lines)?;
            }
        }
        if self.since_forgetting.len() > ROOMS {
            self.since_forgetting.clear();
        }
        if self.database.settings.days > 0 {
            let kept_s = u64::from(self.database.settings.days) * 24 * 3600;
            let oldest = Timestamp::from_seconds(u64::from(now.seconds()).saturating_sub(kept_s));
            lines::forget_before(&transaction, oldest)?;
        }
        answers.extend(requests.into_iter().map(|request| (request.work)(Ok(&transaction))));
        transaction.commit()?;
        Ok(stored)
    }

    fn committed(&mut self, stored: u64, now: Timestamp) {
        self.count(|shared| &shared.figures.lines, stored);
        self.count(|shared| &shared.figures.commits, 1);
        let told = std::mem::take(&mut self.lost);
        let lines: u64 = told.values().sum();
        if lines > 0 {
            log::warn!(
                "not stored: {}; the histories say where they are missing",
                counted(lines, "line")
            );
        }
        let text = "lines are stored again; the history says where some are missing";
        self.tell(told.into_keys(), text, now);
    }

    /// Counts the lost lines and notifies their rooms. The chat goes on.
    fn failed(&mut self, error: &StoreError, now: Timestamp) {
        let mut lost: BTreeMap<String, u64> = BTreeMap::new();
        for (room, _) in self.turn.lines() {
            *lost.entry(room.to_owned()).or_default() += 1;
        }
        self.count(|shared| &shared.figures.failed, lost.values().sum());
        let first: Vec<String> =
            lost.keys().filter(|room| !self.lost.contains_key(*room)).cloned().collect();
        if self.lost.is_empty() {
            log::error!("lines are not stored: {error}");
        }
        for (room, lines) in lost {
            self.lose(room, lines);
        }
        self.lose(String::new(), self.turn.missed);
        self.tell(first, &format!("lines are not stored: {error}"), now);
    }

    fn lose(&mut self, room: String, lines: u64) {
        if lines > 0 {
            let is_known = self.lost.contains_key(&room) || self.lost.len() < ROOMS;
            *self.lost.entry(if is_known { room } else { String::new() }).or_default() += lines;
        }
    }

    fn tell(&mut self, rooms: impl IntoIterator<Item = String>, text: &str, time: Timestamp) {
        for room in rooms.into_iter().filter(|room| !room.is_empty()).take(TOLD_ROOMS) {
            let notice =
                ServerMessage { kind: Kind::Notice, time, ..ServerMessage::of(text.to_owned()) };
            if let Ok(topic) = Topic::parse(&format!("{ROOM_PREFIX}{room}")) {
                let _ = self.publisher.try_publish(&topic, notice);
            }
        }
    }

    fn count(&self, figure: impl Fn(&Shared) -> &AtomicU64, more: u64) {
        figure(&self.shared).fetch_add(more, Ordering::Release);
    }
}

impl Turn {
    fn take(&mut self, delivery: MailboxDelivery<ServerMessage>, syncs: SubscriptionId) {
        match delivery {
            MailboxDelivery::Missed(missed) => self.missed += missed,
            MailboxDelivery::Batch(id, batch) if id == syncs => {
                let asking = batch.entries().filter_map(|(_, reply_to)| reply_to.cloned());
                self.syncs.extend(asking);
            }
            MailboxDelivery::Batch(_, batch) => {
                self.lines += batch.len();
                self.bytes += batch.iter().map(|line| line.payload().len()).sum::<usize>();
                self.batches.push(batch);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.missed > 0 || self.lines >= COMMIT_LINES || self.bytes >= COMMIT_BYTES
    }

    /// Whether somebody waits for the commit, or the turn is full.
    fn is_due(&self) -> bool {
        self.is_full() || !self.syncs.is_empty()
    }

    /// The lines to store, each with its room.
    fn lines(&self) -> impl Iterator<Item = (&str, &ServerMessage)> {
        self.batches.iter().flat_map(|batch| {
            let stored = batch.iter().filter(|message| lines::is_stored(message));
            stored.map(|message| (room_of(batch.topic()), message))
        })
    }
}

fn room_of(topic: &Topic) -> &str {
    topic.as_str().strip_prefix(ROOM_PREFIX).unwrap_or(topic.as_str())
}
