//! Moves what waits in an outbox through an MQTT session, and removes it on PUBACK only.
