//! An MQTT 5 message expiry of 0 s, which AWS takes for 1 s (reference sheet, 4.8) and the codec for malformed.
//!
//! The standard allows it (MQTT 5, section 3.3.2.3.3). So the packet is corrected before the codec reads it:
//! the property in PUBLISH and in the last will of CONNECT. What is no such packet stays as it is, for the
//! codec to judge.

use std::ops::Range;

use bytes::{BufMut as _, BytesMut};

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const MESSAGE_EXPIRY: u8 = 0x02;
/// The last will's flag among those of CONNECT.
const HAS_WILL: u8 = 0x04;

/// Corrects the first packet of `buffer`. `false` while that is not whole; one longer than `max` counts as
/// whole, because nobody will wait for it.
pub(super) fn correct(buffer: &mut BytesMut, max: u32) -> bool {
    let Some(first) = buffer.first().copied() else { return false };
    let mut reader = Reader { bytes: buffer, at: 1 };
    let Some(length) = reader.length() else {
        // Four bytes without an end are no length.
        return buffer.len() >= 5;
    };
    if length > max as usize {
        return true;
    }
    let whole = reader.at + length;
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return false;
    }
    let mut body = Reader { bytes: &buffer[..whole], at: reader.at };
    let expiry = match first >> 4 {
        CONNECT => body.will_expiry(),
        PUBLISH => body.publish_expiry(first),
        _ => None,
    };
    if let Some(at) = expiry
        && buffer[at.clone()] == [0; 4]
    {
        (&mut buffer[at]).put_u32(1);
    }
    true
}

/// Walks through a packet; `None` where it is not of the form it should be.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// Skips a text or bytes with their length before them.
    fn skip_text(&mut self) -> Option<()> {
        let length = u16::from_be_bytes([self.byte()?, self.byte()?]);
        self.skip(length.into())
    }

    /// A variable byte integer.
    fn length(&mut self) -> Option<usize> {
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(length);
            }
        }
        None
    }

    fn publish_expiry(&mut self, first: u8) -> Option<Range<usize>> {
        self.skip_text()?;
        if first & 0x06 != 0 {
            self.skip(2)?;
        }
        self.expiry()
    }

    fn will_expiry(&mut self) -> Option<Range<usize>> {
        self.skip_text()?;
        let level = self.byte()?;
        if level != 5 || self.byte()? & HAS_WILL == 0 {
            return None;
        }
        self.skip(2)?;
        let properties = self.length()?;
        self.skip(properties)?;
        self.skip_text()?;
        self.expiry()
    }

    /// Where the expiry stands among the properties that follow.
    fn expiry(&mut self) -> Option<Range<usize>> {
        let length = self.length()?;
        let end = self.at.checked_add(length)?;
        while self.at < end {
            match self.byte()? {
                MESSAGE_EXPIRY => {
                    let at = self.at;
                    self.skip(4)?;
                    return Some(at..self.at);
                }
                // The properties of PUBLISH and of a last will (MQTT 5, section 2.2.2.2).
                0x01 => self.skip(1)?,
                0x18 => self.skip(4)?,
                0x23 => self.skip(2)?,
                0x0b => drop(self.length()?),
                0x03 | 0x08 | 0x09 => self.skip_text()?,
                0x26 => {
                    self.skip_text()?;
                    self.skip_text()?;
                }
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u32 = 1000;

    fn corrected(bytes: &[u8]) -> Vec<u8> {
        let mut buffer = BytesMut::from(bytes);
        assert!(correct(&mut buffer, MAX));
        buffer.to_vec()
    }

    /// PUBLISH with QoS 1 on `a` with these properties and the payload `x`.
    fn publish(properties: &[u8]) -> Vec<u8> {
        let length = u8::try_from(properties.len()).unwrap();
        [&[0x32, 7 + length, 0, 1, b'a', 0, 7, length], properties, b"x"].concat()
    }

    #[test]
    fn an_expiry_of_zero_becomes_one_and_every_other_stays() {
        let zero = [0x01, 1, 0x26, 0, 1, b'a', 0, 1, b'b', 0x02, 0, 0, 0, 0];
        let one = [0x01, 1, 0x26, 0, 1, b'a', 0, 1, b'b', 0x02, 0, 0, 0, 1];
        assert_eq!(corrected(&publish(&zero)), publish(&one));
        for other in [&[0x02, 0, 0, 1, 0][..], &[], &[0x08, 0, 5, 0x02, 0, 0, 0, 0], &[0xff, 0x02, 0, 0, 0, 0]] {
            assert_eq!(corrected(&publish(other)), publish(other), "{other:?}");
        }
    }

    #[test]
    fn so_does_that_of_a_last_will() {
        // The expiry of the session, 0x11, is another one.
        let head = [0, 4, b'M', b'Q', b'T', b'T', 5, 0x04, 0, 60, 5, 0x11, 0, 0, 0, 0, 0, 1, b'c', 5, 0x02, 0, 0, 0];
        let packet = |last: u8| [&[0x10, 31][..], &head, &[last], &[0, 1, b'w', 0, 1, b'x']].concat();
        assert_eq!(corrected(&packet(0)), packet(1));
    }

    #[test]
    fn a_packet_is_waited_for_as_long_as_it_may_become_one() {
        let whole = publish(&[0x02, 0, 0, 0, 0]);
        for end in 0..whole.len() {
            assert!(!correct(&mut BytesMut::from(&whole[..end]), MAX), "{end}");
        }
        assert!(correct(&mut BytesMut::from(&[0x30, 0xff, 0xff, 0x7f][..]), MAX), "longer than may be");
        assert!(correct(&mut BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0xff][..]), MAX), "no length at all");
    }
}
