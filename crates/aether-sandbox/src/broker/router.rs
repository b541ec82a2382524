//! Who is connected, who has subscribed to what, and where a message goes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rmqtt_codec::types::QoS;

use super::client::{Client, EndReason};
use super::outbound::Delivery;
use super::tree::FilterTree;

/// The table of connected clients and their subscriptions.
#[derive(Debug, Default)]
pub(super) struct Router {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_client_id: HashMap<String, Arc<Client>>,
    by_connection: HashMap<u64, Arc<Client>>,
    subscriptions: FilterTree<u64, QoS>,
}

impl Router {
    /// Lets a client in. An older connection with the same client id is closed (sheet, 4.2).
    pub(super) fn enter(&self, client: &Arc<Client>) {
        let mut table = self.change();
        let older = table.by_client_id.insert(client.id.clone(), Arc::clone(client));
        table.by_connection.insert(client.connection(), Arc::clone(client));
        if let Some(older) = older {
            table.forget_subscriptions(&older);
            table.by_connection.remove(&older.connection());
            older.end(EndReason::DuplicateClientId);
        }
    }

    /// Forgets a client. The client id stays with a connection that has taken it over.
    pub(super) fn leave(&self, client: &Client) {
        let mut table = self.change();
        if table.by_connection.remove(&client.connection()).is_some() {
            table.forget_subscriptions(client);
        }
        let current = table.by_client_id.get(&client.id);
        if current.is_some_and(|current| current.connection() == client.connection()) {
            table.by_client_id.remove(&client.id);
        }
    }

    /// Adds or replaces a subscription of a client that is still in.
    pub(super) fn subscribe(&self, client: &Client, filter: &str, qos: QoS) {
        let mut table = self.change();
        if table.by_connection.contains_key(&client.connection()) {
            client.subscriptions().insert(filter.to_owned(), qos);
            table.subscriptions.insert(filter, client.connection(), qos);
        }
    }

    pub(super) fn unsubscribe(&self, client: &Client, filter: &str) {
        let mut table = self.change();
        client.subscriptions().remove(filter);
        table.subscriptions.remove(filter, &client.connection());
    }

    /// Hands a message to every client that has subscribed to its topic and may receive it, once
    /// each, with the lower of both qualities of service.
    pub(super) fn publish(&self, delivery: &Delivery) {
        let mut receivers: HashMap<u64, QoS> = HashMap::new();
        let mut found = Vec::new();
        {
            let table = self.read();
            table.subscriptions.find(&delivery.topic, &mut |connection, qos| {
                receivers.entry(*connection).and_modify(|best| *best = (*best).max(*qos)).or_insert(*qos);
            });
            for (connection, qos) in receivers {
                if let Some(client) = table.by_connection.get(&connection) {
                    found.push((Arc::clone(client), qos));
                }
            }
        }
        // Policies are asked outside the lock: they cost more than the look-up.
        for (client, qos) in found {
            client.deliver(Delivery { qos: qos.less_value(delivery.qos), ..delivery.clone() });
        }
    }

    /// All connected clients.
    pub(super) fn clients(&self) -> Vec<Arc<Client>> {
        self.read().by_connection.values().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_subscriptions(&mut self, client: &Client) {
        for filter in client.subscriptions().keys() {
            self.subscriptions.remove(filter, &client.connection());
        }
    }
}
