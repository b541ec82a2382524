//! The server as clients meet it, over real connections on loopback.

mod abuse;
mod access;
mod browse;
mod lifecycle;
mod secured;
mod subscribe;
mod support;
mod values;
