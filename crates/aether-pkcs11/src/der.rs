//! The few pieces of DER (X.690) that tokens leave to their callers.

/// Object identifier of the curve P-256, as `CKA_EC_PARAMS` holds it.
pub(crate) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Object identifier of the curve P-384.
pub(crate) const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// id-ecPublicKey (RFC 5480, section 2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// rsaEncryption with its parameter NULL (RFC 3279, section 2.3.1).
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// SubjectPublicKeyInfo of a point on a curve.
pub(crate) fn elliptic_spki(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let algorithm = wrap(SEQUENCE, &[EC_PUBLIC_KEY, curve].concat());
    wrap(SEQUENCE, &[algorithm, bit_string(point)].concat())
}

/// SubjectPublicKeyInfo of an RSA key; both numbers big-endian.
pub(crate) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = wrap(SEQUENCE, &[integer(modulus), integer(exponent)].concat());
    wrap(SEQUENCE, &[wrap(SEQUENCE, RSA_ENCRYPTION), bit_string(&key)].concat())
}

/// The uncompressed point of `CKA_EC_POINT`, `size` bytes a coordinate. The standard wraps it in an OCTET STRING, and
/// some tokens do not.
pub(crate) fn point(attribute: &[u8], size: usize) -> Option<&[u8]> {
    let wrapped = match attribute {
        [OCTET_STRING, length, rest @ ..] if usize::from(*length) == rest.len() => Some(rest),
        _ => None,
    };
    let fits = |point: &&[u8]| point.len() == 1 + 2 * size && point[0] == 4;
    wrapped.filter(fits).or_else(|| Some(attribute).filter(fits))
}

/// An ECDSA signature as TLS and X.509 want it, from the two numbers of equal length that tokens give.
pub(crate) fn signature(numbers: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = numbers.split_at(numbers.len() / 2);
    (!r.is_empty() && r.len() == s.len()).then(|| wrap(SEQUENCE, &[integer(r), integer(s)].concat()))
}

/// DigestInfo (RFC 8017, section 9.2): a hash with the name of what made it.
pub(crate) fn digest_info(hash: &[u8]) -> Vec<u8> {
    // The last byte of id-sha256, id-sha384 and id-sha512.
    let which = match hash.len() {
        32 => 1,
        48 => 2,
        _ => 3,
    };
    let algorithm = wrap(SEQUENCE, &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, which, 0x05, 0x00]);
    wrap(SEQUENCE, &[algorithm, wrap(OCTET_STRING, hash)].concat())
}

/// How many bits a big-endian number has.
pub(crate) fn bits(number: &[u8]) -> usize {
    let number = significant(number);
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn integer(number: &[u8]) -> Vec<u8> {
    let number = significant(number);
    // A zero keeps a number positive whose first bit is set, and stands for the number zero.
    let sign: &[u8] = if number.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    wrap(INTEGER, &[sign, number].concat())
}

fn bit_string(content: &[u8]) -> Vec<u8> {
    wrap(BIT_STRING, &[&[0], content].concat())
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    if let Ok(short @ 0..0x80) = u8::try_from(length) {
        der.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let bytes = significant(&bytes);
        der.push(0x80 | u8::try_from(bytes.len()).unwrap_or(8));
        der.extend_from_slice(bytes);
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_positive_and_short() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!((bits(&[0, 1, 0]), bits(&[0x80]), bits(&[0])), (9, 8, 0));
    }

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(wrap(4, &[7; 0x7f])[..3], [4, 0x7f, 7]);
        assert_eq!(wrap(4, &[7; 0x80])[..4], [4, 0x81, 0x80, 7]);
        assert_eq!(wrap(4, &[7; 0x123])[..5], [4, 0x82, 0x01, 0x23, 7]);
    }

    #[test]
    fn a_signature_is_two_numbers_of_equal_length() {
        assert_eq!(signature(&[0, 1, 0x80, 2]).unwrap(), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2]);
        assert_eq!(signature(&[1, 2, 3]), None);
        assert_eq!(signature(&[]), None);
    }

    #[test]
    fn a_point_is_found_with_and_without_its_wrapping() {
        let bare = [&[4][..], &[9; 64]].concat();
        let wrapped = [&[4, 65][..], &bare].concat();
        assert_eq!(point(&bare, 32), Some(&bare[..]));
        assert_eq!(point(&wrapped, 32), Some(&bare[..]));
        assert_eq!(point(&wrapped, 48), None);
        // Compressed.
        assert_eq!(point(&[&[2][..], &[9; 32]].concat(), 32), None);
        assert_eq!(point(&[], 32), None);
    }

    #[test]
    fn a_digest_names_its_hash() {
        // RFC 8017, section 9.2, note 1.
        let sha256 = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
        assert_eq!(digest_info(&[0; 32])[..19], sha256);
        assert_eq!(digest_info(&[0; 48])[14], 2);
        assert_eq!(digest_info(&[0; 64])[14], 3);
    }
}
