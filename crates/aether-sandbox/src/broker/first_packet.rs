//! Waits for CONNECT, and tells the MQTT versions apart by it.

use std::io::ErrorKind;

use bytes::BytesMut;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::codec::Decoder;

use super::codec::Codec;
use super::limits::HANDSHAKE_TIMEOUT;
use super::packet::{Connect, Incoming, Version};
use super::refusal::Refusal;

/// Waits for CONNECT; gives it, and the codec for what follows it in `buffer`. `version` is set as
/// soon as it is known.
pub(super) async fn read_connect(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    max_packet: u32,
    version: &mut Option<Version>,
) -> Result<(Connect, Codec), Refusal> {
    let read = async {
        let mut codec: Option<Codec> = None;
        loop {
            if codec.is_none() {
                unmark_bridge(buffer);
                let found = VersionCodec.decode(buffer).map_err(|error| Refusal::silent(error.to_string()))?;
                *version = found.map(|found| match found {
                    ProtocolVersion::MQTT3 => Version::V3,
                    ProtocolVersion::MQTT5 => Version::V5,
                });
                codec = version.map(|version| Codec::new(version, max_packet));
            }
            if let Some(mut decoder) = codec.take() {
                match decoder.decode(buffer) {
                    Ok(Some(Incoming::Connect(connect))) => return Ok((*connect, decoder)),
                    Ok(Some(_)) => return Err(Refusal::silent("first packet is not CONNECT")),
                    Ok(None) => codec = Some(decoder),
                    Err(DecodeError::InvalidClientId) => {
                        return Err(Refusal::identifier("client id is empty, and no clean session is asked for"));
                    }
                    Err(error) => return Err(Refusal::silent(error.to_string())),
                }
            }
            match stream.read_buf(buffer).await {
                Ok(0) => return Err(Refusal::silent("closed before CONNECT")),
                Ok(_) => {}
                // Closed without TLS's close_notify, which is how a killed client goes.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Refusal::silent("closed before CONNECT"));
                }
                Err(error) => return Err(Refusal::silent(error.to_string())),
            }
        }
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, read).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Refusal::silent("no CONNECT in time")),
    }
}

/// Takes the mark of a bridge off the protocol level of the CONNECT that `buffer` begins with.
///
/// Mosquitto sets the highest bit of MQTT 3.1.1's level to say that it bridges. Such bridges are
/// reported to work with AWS (eclipse-mosquitto issue 2488); here they are clients like any other.
fn unmark_bridge(buffer: &mut BytesMut) {
    const MARKED: &[u8] = b"\x00\x04MQTT\x84";
    // The fixed header: the packet type, and one to four bytes of length.
    let Some(last) = buffer.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0) else { return };
    let header = last + 2;
    if buffer.first() == Some(&0x10) && buffer.get(header..header + MARKED.len()) == Some(MARKED) {
        buffer[header + MARKED.len() - 1] &= 0x7f;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(bytes: &[u8]) -> (Result<(Connect, Codec), Refusal>, Option<Version>) {
        let mut version = None;
        let read = read_connect(&mut &bytes[..], &mut BytesMut::new(), 1000, &mut version).await;
        (read, version)
    }

    #[tokio::test]
    async fn both_versions_are_told_apart() {
        for (bytes, version) in [
            (&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"[..], Version::V3),
            (b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a", Version::V3),
            (b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a", Version::V5),
        ] {
            let (read, found) = first(bytes).await;
            assert_eq!((read.unwrap().0.version, found), (version, Some(version)));
        }
    }

    #[tokio::test]
    async fn other_first_bytes_are_refused_without_an_answer() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\xc0\x00",
            b"\x10\xff\xff\xff\xff",
            b"",
            b"\x10\x0c\x00\x04MQTX\x04\x02",
            b"\x10\xff\xff\x03\x00\x04MQTT\x05\x02",
            b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x7f\x00\x01a",
        ] {
            let (read, version) = first(bytes).await;
            assert_eq!(read.unwrap_err().answer(version), None, "{bytes:?}");
        }
    }
}
