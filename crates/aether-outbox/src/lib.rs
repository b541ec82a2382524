//! A bounded, ordered store-and-forward queue for payloads that must reach a broker.
