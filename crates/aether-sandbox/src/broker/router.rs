//! The sessions, who has subscribed to what, and where a message goes.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use super::client::Client;
use super::ending::EndReason;
use super::message::Message;
use super::sessions::{Options, SessionStore};
use super::subscriber::{How, Subscriber};
use super::topic::shared;
use super::tree::FilterTree;
use crate::StartError;

/// The table of sessions and their subscriptions.
#[derive(Debug)]
pub(super) struct Router {
    table: RwLock<Table>,
    store: Arc<SessionStore>,
    /// Turns with every shared message.
    turns: AtomicU64,
    random: RandomState,
    /// Most sessions whose clients are away.
    max_away: usize,
}

#[derive(Debug, Default)]
struct Table {
    by_client_id: HashMap<String, Arc<Subscriber>>,
    by_number: HashMap<u64, Arc<Subscriber>>,
    subscriptions: FilterTree<u64, Options>,
    /// Under the whole text of the filter, `$share/<name>/` included, which names the group.
    shared: FilterTree<(Arc<str>, u64), Options>,
    /// Sessions whose clients are away, soonest over first.
    away: BTreeSet<(SystemTime, u64)>,
    last_number: u64,
}

impl Router {
    /// Takes up the sessions of the last run.
    pub(super) fn new(store: SessionStore, max_away: usize, now: SystemTime) -> Self {
        let store = Arc::new(store);
        let mut table = Table::default();
        table.take_up(&store, now);
        table.make_room(max_away);
        let table = RwLock::new(table);
        Self { table, store, turns: AtomicU64::new(0), random: RandomState::new(), max_away }
    }

    /// Lets a client in: with the session it left, if it wants it and it is still there, which the
    /// second value says. An older connection with the same client id is closed (sheet, 4.2).
    pub(super) fn enter(
        &self,
        client: &Arc<Client>,
        clean: bool,
        expiry: Duration,
        now: SystemTime,
    ) -> (Arc<Subscriber>, bool) {
        let mut table = self.change();
        if let Some(found) = table.by_client_id.get(&client.id).cloned() {
            let older = found.client();
            if let Some(older) = &older {
                older.end(EndReason::DuplicateClientId);
            }
            // A session that is not kept ends with its connection, which is now.
            let gone = found.is_over(now) || (older.is_some() && found.expiry().is_zero());
            if !clean && !gone {
                table.away.remove(&(found.ends(), found.number));
                found.resume(client, expiry);
                return (found, true);
            }
            table.dismiss(&found);
        }
        let number = table.next_number();
        let subscriber = Arc::new(Subscriber::begin(client, number, expiry, &self.store));
        table.admit(Arc::clone(&subscriber));
        (subscriber, false)
    }

    /// Takes a connection's leave; a session that is not kept goes with it.
    pub(super) fn leave(&self, subscriber: &Subscriber, client: &Client, expiry: Option<Duration>, now: SystemTime) {
        let mut table = self.change();
        if !subscriber.leave(client, expiry, now) || !table.by_number.contains_key(&subscriber.number) {
            return;
        }
        if subscriber.is_over(now) {
            table.dismiss(subscriber);
        } else {
            table.away.insert((subscriber.ends(), subscriber.number));
            table.make_room(self.max_away);
        }
    }

    /// Ends the sessions whose time is over.
    pub(super) fn sweep(&self, now: SystemTime) {
        let mut table = self.change();
        let over: Vec<_> = table.by_number.values().filter(|found| found.is_over(now)).cloned().collect();
        over.iter().for_each(|found| table.dismiss(found));
    }

    /// Ends all sessions and their connections; how many there were.
    pub(super) fn forget(&self) -> usize {
        let mut table = self.change();
        let all: Vec<_> = table.by_number.values().cloned().collect();
        for subscriber in &all {
            if let Some(client) = subscriber.client() {
                client.end(EndReason::ApiInitiated);
            }
            table.dismiss(subscriber);
        }
        all.len()
    }

    /// Adds or replaces a subscription of a session that is still there; whether it is new.
    pub(super) fn subscribe(&self, subscriber: &Subscriber, filter: &str, options: Options) -> bool {
        let mut table = self.change();
        if !table.by_number.contains_key(&subscriber.number) {
            return false;
        }
        table.insert(subscriber.number, filter, options);
        subscriber.subscribe(filter, options)
    }

    /// Removes a subscription; whether there was one.
    pub(super) fn unsubscribe(&self, subscriber: &Subscriber, filter: &str) -> bool {
        let mut table = self.change();
        table.remove(subscriber.number, filter);
        subscriber.unsubscribe(filter)
    }

    /// Finds every session that has subscribed to the topic of a message, once each with the best
    /// quality of service asked for, and one of each group that shares a subscription.
    pub(super) fn receivers(&self, message: &Message, now: SystemTime) -> Vec<(Arc<Subscriber>, How)> {
        let mut found: Vec<(u64, Options)> = Vec::new();
        let mut groups: HashMap<Arc<str>, Vec<(u64, Options)>> = HashMap::new();
        let mut receivers = Vec::new();
        {
            let table = self.read();
            table.subscriptions.find(&message.topic, &mut |number, options| found.push((*number, *options)));
            table.shared.find(&message.topic, &mut |(group, number), options| {
                groups.entry(Arc::clone(group)).or_default().push((*number, *options));
            });
            merge(&mut found);
            let get = |(number, options): &(u64, Options)| {
                let subscriber = table.by_number.get(number)?;
                (!subscriber.is_over(now)).then(|| (Arc::clone(subscriber), *options))
            };
            receivers.extend(found.iter().filter_map(get));
            for members in groups.into_values() {
                receivers.extend(self.pick(members.iter().filter_map(get).collect()));
            }
        }
        let is_own = |subscriber: &Subscriber| {
            subscriber.client().is_some_and(|client| client.connection() == message.connection)
        };
        receivers.retain(|(subscriber, options): &(Arc<Subscriber>, Options)| !options.no_local || !is_own(subscriber));
        let how = |options: Options| How {
            qos: options.qos,
            retain: message.retain && options.retain_as_published,
            only: None,
        };
        receivers.into_iter().map(|(subscriber, options)| (subscriber, how(options))).collect()
    }

    /// Forgets all in memory and takes up what is on disk. Connections there are lose their session.
    pub(super) fn reload(&self, now: SystemTime) -> Result<(), StartError> {
        let mut table = self.change();
        self.store.reopen()?;
        let mut fresh = Table { last_number: table.last_number, ..Table::default() };
        fresh.take_up(&self.store, now);
        fresh.make_room(self.max_away);
        *table = fresh;
        Ok(())
    }

    /// All connected clients.
    pub(super) fn clients(&self) -> Vec<Arc<Client>> {
        self.read().by_number.values().filter_map(|subscriber| subscriber.client()).collect()
    }

    /// All sessions that are not over.
    pub(super) fn sessions(&self, now: SystemTime) -> Vec<Arc<Subscriber>> {
        self.read().by_number.values().filter(|subscriber| !subscriber.is_over(now)).cloned().collect()
    }

    /// One of a group at random, a connected one if there is any.
    fn pick(&self, mut members: Vec<(Arc<Subscriber>, Options)>) -> Option<(Arc<Subscriber>, Options)> {
        if members.iter().any(|(member, _)| member.client().is_some()) {
            members.retain(|(member, _)| member.client().is_some());
        }
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let random = usize::try_from(self.random.hash_one(turn) >> 32).unwrap_or_default();
        let at = random.checked_rem(members.len())?;
        Some(members.swap_remove(at))
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves one entry a subscriber: the best quality of service, and a copy of its own messages only
/// if no subscription refuses that.
fn merge(found: &mut Vec<(u64, Options)>) {
    found.sort_unstable_by_key(|(number, _)| *number);
    found.dedup_by(|(number, options), (kept, best)| {
        let same = number == kept;
        if same {
            best.qos = best.qos.max(options.qos);
            best.no_local &= options.no_local;
            best.retain_as_published |= options.retain_as_published;
        }
        same
    });
}

impl Table {
    fn take_up(&mut self, store: &Arc<SessionStore>, now: SystemTime) {
        for (client_id, kept) in store.all() {
            let number = self.next_number();
            let subscriber = Arc::new(Subscriber::restore(client_id, number, kept, store, now));
            self.away.insert((subscriber.ends(), number));
            self.admit(subscriber);
        }
    }

    /// Ends sessions of clients that are away until there are no more than `most`, those first that have the
    /// least time left.
    fn make_room(&mut self, most: usize) {
        while self.away.len() > most
            && let Some((_, number)) = self.away.pop_first()
        {
            if let Some(subscriber) = self.by_number.get(&number).cloned() {
                tracing::warn!(client_id = subscriber.client_id, most, "session ended to make room for another");
                self.dismiss(&subscriber);
            }
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn admit(&mut self, subscriber: Arc<Subscriber>) {
        for (filter, options) in subscriber.subscriptions().iter() {
            self.insert(subscriber.number, filter, *options);
        }
        self.by_client_id.insert(subscriber.client_id.clone(), Arc::clone(&subscriber));
        self.by_number.insert(subscriber.number, subscriber);
    }

    /// Ends a session. Its client id stays with a session that has replaced it.
    fn dismiss(&mut self, subscriber: &Subscriber) {
        if self.by_number.remove(&subscriber.number).is_none() {
            return;
        }
        self.away.remove(&(subscriber.ends(), subscriber.number));
        let filters: Vec<String> = subscriber.subscriptions().keys().cloned().collect();
        filters.iter().for_each(|filter| self.remove(subscriber.number, filter));
        let current = self.by_client_id.get(&subscriber.client_id);
        if current.is_some_and(|current| current.number == subscriber.number) {
            self.by_client_id.remove(&subscriber.client_id);
        }
        subscriber.end();
    }

    fn insert(&mut self, number: u64, filter: &str, options: Options) {
        match shared(filter) {
            Some((_, inner)) => self.shared.insert(inner, (filter.into(), number), options),
            None => self.subscriptions.insert(filter, number, options),
        }
    }

    fn remove(&mut self, number: u64, filter: &str) {
        match shared(filter) {
            Some((_, inner)) => self.shared.remove(inner, &(filter.into(), number)),
            None => self.subscriptions.remove(filter, &number),
        }
    }
}
