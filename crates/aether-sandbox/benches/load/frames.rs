//! MQTT 3.1.1 packets as bytes: just those a device sends, and the frame of those it gets.
//!
//! Written by hand, because a load program must cost less than what it measures.

use anyhow::bail;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const PINGRESP: u8 = 0xd0;

pub(crate) const PINGREQ: &[u8] = &[0xc0, 0];
pub(crate) const DISCONNECT: &[u8] = &[0xe0, 0];

/// One packet as it came: its type in the upper half of `first`, and what follows the length.
#[derive(Debug)]
pub(crate) struct Frame {
    first: u8,
    pub(crate) body: Bytes,
}

/// A PUBLISH taken apart.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: Bytes,
    /// Zero at QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: Bytes,
}

impl Frame {
    /// Takes the first whole packet out of `inbox`.
    pub(crate) fn take(inbox: &mut BytesMut) -> anyhow::Result<Option<Self>> {
        let mut length = 0;
        let Some(&first) = inbox.first() else { return Ok(None) };
        for (at, byte) in inbox.iter().skip(1).enumerate() {
            if at == 4 {
                bail!("a packet's length has more than 4 bytes");
            }
            length |= usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                let header = at + 2;
                if inbox.len() < header + length {
                    return Ok(None);
                }
                inbox.advance(header);
                return Ok(Some(Self { first, body: inbox.split_to(length).freeze() }));
            }
        }
        Ok(None)
    }

    pub(crate) fn kind(&self) -> u8 {
        self.first & 0xf0
    }

    /// Takes a PUBLISH apart.
    pub(crate) fn message(mut self) -> anyhow::Result<Message> {
        if self.kind() != PUBLISH || self.body.len() < 2 {
            bail!("expected a PUBLISH, got type {:#x}", self.kind());
        }
        let length = usize::from(self.body.get_u16());
        let has_id = self.first & 0b0110 != 0;
        if self.body.len() < length + if has_id { 2 } else { 0 } {
            bail!("a PUBLISH ends in its topic");
        }
        let topic = self.body.split_to(length);
        let packet_id = if has_id { self.body.get_u16() } else { 0 };
        Ok(Message { topic, packet_id, payload: self.body })
    }
}

pub(crate) fn connect(client_id: &str, keep_alive: u16) -> BytesMut {
    let mut out = BytesMut::new();
    head(&mut out, 0x10, 10 + 2 + client_id.len());
    out.put_slice(b"\x00\x04MQTT\x04\x02");
    out.put_u16(keep_alive);
    text(&mut out, client_id);
    out
}

/// One SUBSCRIBE with packet id 1.
pub(crate) fn subscribe(filters: &[&str], qos: u8) -> BytesMut {
    let mut out = BytesMut::new();
    head(&mut out, 0x82, 2 + filters.iter().map(|filter| filter.len() + 3).sum::<usize>());
    out.put_u16(1);
    for filter in filters {
        text(&mut out, filter);
        out.put_u8(qos);
    }
    out
}

/// A PUBLISH; with a packet id other than 0 at QoS 1.
pub(crate) fn publish(out: &mut BytesMut, topic: &str, packet_id: u16, payload: &[u8]) {
    let (first, id) = if packet_id == 0 { (0x30, 0) } else { (0x32, 2) };
    head(out, first, 2 + topic.len() + id + payload.len());
    text(out, topic);
    if packet_id != 0 {
        out.put_u16(packet_id);
    }
    out.put_slice(payload);
}

pub(crate) fn puback(out: &mut BytesMut, packet_id: u16) {
    out.put_slice(&[0x40, 2]);
    out.put_u16(packet_id);
}

fn head(out: &mut BytesMut, first: u8, mut length: usize) {
    out.put_u8(first);
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        if length == 0 {
            return out.put_u8(byte);
        }
        out.put_u8(byte | 0x80);
    }
}

fn text(out: &mut BytesMut, text: &str) {
    // Topics and client ids of this program are short.
    out.put_u16(u16::try_from(text.len()).unwrap_or_default());
    out.put_slice(text.as_bytes());
}
