//! Condition operators one by one: what holds, what a missing key does, prefixes and suffixes.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::time::{Duration, UNIX_EPOCH};

use aether_iot_policy::{Action, Attachment, Certificate, Context, NameAttribute, Request, Thing, evaluate};
use support::{allow_if, check};

const KEY: &str = "iot:Connection.Thing.Attributes[k]";

fn with(value: &str) -> Context {
    Context::new().with_client_id("t").with_thing(Thing::new("t").with_attribute("k", value), Attachment::Shared)
}

/// One operator with one value of the policy, against several of the request.
#[track_caller]
fn rows(operator: &str, wanted: &str, rows: &[(&str, bool)]) {
    let policy = allow_if(&format!(r#"{{"{operator}":{{"{KEY}":{wanted}}}}}"#));
    for (found, expected) in rows {
        check(&policy, Action::Publish, "topic/a", &with(found), *expected);
    }
}

#[test]
fn strings() {
    rows("StringEquals", r#""ab""#, &[("ab", true), ("AB", false), ("abc", false), ("", false)]);
    rows("StringEquals", r#""a*""#, &[("a*", true), ("ab", false)]);
    rows("StringEquals", r#"["a","b"]"#, &[("a", true), ("b", true), ("c", false)]);
    rows("StringNotEquals", r#"["a","b"]"#, &[("a", false), ("b", false), ("c", true)]);
    rows("StringEqualsIgnoreCase", r#""aÉ""#, &[("Aé", true), ("b", false)]);
    rows("StringNotEqualsIgnoreCase", r#""ab""#, &[("AB", false), ("b", true)]);
    rows("StringLike", r#""a*c?""#, &[("abcd", true), ("ac/", true), ("ac", false), ("Acd", false)]);
    rows("StringLike", r#""${*}""#, &[("*", true), ("a", false)]);
    rows("StringNotLike", r#"["a*","b*"]"#, &[("ab", false), ("bb", false), ("cb", true)]);
    rows("StringEquals", r#""${iot:ClientId}""#, &[("t", true), ("u", false)]);
    rows("StringEqualsIgnoreCase", r#""x-${iot:ClientId}""#, &[("X-T", true), ("x-u", false)]);
}

#[test]
fn numbers() {
    rows("NumericEquals", "5", &[("5", true), ("5.0", true), ("6", false), ("five", false)]);
    rows("NumericNotEquals", r#""5""#, &[("5", false), ("6", true), ("five", true)]);
    rows("NumericLessThan", "5", &[("4.9", true), ("5", false)]);
    rows("NumericLessThanEquals", "5", &[("5", true), ("5.1", false)]);
    rows("NumericGreaterThan", "-5", &[("-4", true), ("-5", false), ("NaN", false), ("inf", false)]);
    rows("NumericGreaterThanEquals", "[5,9]", &[("5", true), ("4", false)]);
}

#[test]
fn dates() {
    rows(
        "DateEquals",
        r#""2025-10-09T08:53:20Z""#,
        &[("1760000000", true), ("2025-10-09T10:53:20+02:00", true), ("x", false)],
    );
    rows("DateNotEquals", r#""2025""#, &[("2025-01-01", false), ("2025-01-02", true)]);
    rows("DateLessThan", r#""2025""#, &[("2024-12-31T23:59:59Z", true), ("2025", false)]);
    rows("DateLessThanEquals", r#""2025""#, &[("2025", true), ("2025-01-02", false)]);
    rows("DateGreaterThan", "1760000000", &[("1760000001", true), ("1760000000", false)]);
    rows("DateGreaterThanEquals", "1760000000", &[("1760000000", true), ("1759999999", false)]);
}

#[test]
fn truth_values_addresses_and_arns() {
    rows("Bool", r#""true""#, &[("true", true), ("TRUE", true), ("false", false), ("1", false)]);
    rows(
        "IpAddress",
        r#"["10.0.0.0/8","2001:db8::/32"]"#,
        &[("10.9.9.9", true), ("11.0.0.0", false), ("2001:db8::1", true)],
    );
    rows("NotIpAddress", r#""10.0.0.0/8""#, &[("10.9.9.9", false), ("11.0.0.0", true), ("here", true)]);
    for operator in ["ArnEquals", "ArnLike"] {
        rows(
            operator,
            r#""arn:aws:iot:*:1:topic/a?""#,
            &[
                ("arn:aws:iot:eu-west-1:1:topic/ab", true),
                ("arn:aws:iot:eu-west-1:1:topic/ab:c", false),
                ("arn:aws:iot:eu-west-1:2:topic/ab", false),
                ("arn:aws:iot:a:b:1:topic/ab", false),
                ("arn", false),
            ],
        );
    }
    rows(
        "ArnNotLike",
        r#""arn:aws:iot:*:*:topic/a""#,
        &[("arn:aws:iot:r:1:topic/a", false), ("arn:aws:iot:r:1:topic/b", true)],
    );
    rows("ArnNotEquals", r#""arn:aws:iot:*:*:topic/a""#, &[("arn:aws:iot:r:1:topic/a", false), ("x", true)]);
}

#[test]
fn a_variable_in_any_kind_of_value_is_filled_in_first() {
    let context = with("9").with_source_ip([10, 0, 0, 9].into());
    for (condition, expected) in [
        (r#"{"NumericEquals":{"iot:Connection.Thing.Attributes[k]":"${iot:Connection.Thing.Attributes[k]}.0"}}"#, true),
        (r#"{"NumericEquals":{"iot:Connection.Thing.Attributes[k]":"${iot:ClientId}"}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.${iot:Connection.Thing.Attributes[k]}"}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.${iot:Nothing}"}}"#, false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.${iot:Nothing}"}}"#, true),
        (r#"{"Bool":{"iot:Connection.Thing.IsAttached":"${iot:Connection.Thing.IsAttached}"}}"#, true),
    ] {
        check(&allow_if(condition), Action::Publish, "topic/a", &context, expected);
    }
}

#[test]
fn a_missing_key_fails_plain_operators_and_satisfies_negated_ones() {
    for (operator, value, expected) in [
        ("StringEquals", "a", false),
        ("StringNotEquals", "a", true),
        ("StringLike", "*", false),
        ("StringNotLike", "*", true),
        ("NumericLessThan", "1", false),
        ("NumericNotEquals", "1", true),
        ("DateEquals", "2025", false),
        ("DateNotEquals", "2025", true),
        ("Bool", "false", false),
        ("IpAddress", "0.0.0.0/0", false),
        ("NotIpAddress", "0.0.0.0/0", true),
        ("ArnLike", "*:*:*:*:*:*", false),
        ("ArnNotLike", "*:*:*:*:*:*", true),
    ] {
        for (prefix, suffix, expected) in [
            ("", "", expected),
            ("", "IfExists", true),
            ("ForAllValues:", "", true),
            ("ForAllValues:", "IfExists", true),
            ("ForAnyValue:", "", false),
            ("ForAnyValue:", "IfExists", true),
        ] {
            let policy = allow_if(&format!(r#"{{"{prefix}{operator}{suffix}":{{"iot:Nothing":"{value}"}}}}"#));
            check(&policy, Action::Publish, "topic/a", &Context::new(), expected);
        }
    }
}

#[test]
fn if_exists_still_compares_what_is_there() {
    rows("StringEqualsIfExists", r#""a""#, &[("a", true), ("b", false)]);
    rows("StringNotEqualsIfExists", r#""a""#, &[("a", false), ("b", true)]);
}

#[test]
fn null_asks_whether_a_key_is_there() {
    rows("Null", r#""false""#, &[("a", true), ("", true)]);
    rows("Null", "true", &[("a", false)]);
    for (value, expected) in [("true", true), ("false", false)] {
        let policy = allow_if(&format!(r#"{{"Null":{{"{KEY}":"{value}"}}}}"#));
        check(&policy, Action::Publish, "topic/a", &Context::new(), expected);
    }
}

#[test]
fn lists_are_asked_for_all_for_any_or_as_they_come() {
    let units = |units: &[&str]| {
        let certificate = units.iter().fold(Certificate::new(), |certificate, unit| {
            certificate.with_subject(NameAttribute::OrganizationalUnit, unit)
        });
        Context::new().with_certificate(certificate)
    };
    for (operator, wanted, found, expected) in [
        ("ForAllValues:StringEquals", "a b", "a b", true),
        ("ForAllValues:StringEquals", "a b", "a", true),
        ("ForAllValues:StringEquals", "a b", "a c", false),
        ("ForAllValues:StringNotEquals", "a b", "c d", true),
        ("ForAllValues:StringNotEquals", "a b", "c a", false),
        ("ForAnyValue:StringEquals", "a b", "c a", true),
        ("ForAnyValue:StringEquals", "a b", "c d", false),
        ("ForAnyValue:StringNotEquals", "a b", "a c", true),
        ("ForAnyValue:StringNotEquals", "a b", "a b", false),
        ("StringEquals", "a", "c a", true),
        ("StringNotEquals", "a", "c a", false),
        ("StringNotEquals", "a", "c d", true),
    ] {
        let wanted: Vec<String> = wanted.split(' ').map(|one| format!("{one:?}")).collect();
        let key = "iot:Certificate.Subject.OrganizationalUnit.List";
        let policy = allow_if(&format!(r#"{{"{operator}":{{"{key}":[{}]}}}}"#, wanted.join(",")));
        let found: Vec<&str> = found.split(' ').collect();
        check(&policy, Action::Publish, "topic/a", &units(&found), expected);
    }
}

#[test]
fn every_operator_and_key_of_a_statement_must_hold() {
    let policy = allow_if(
        r#"{"StringEquals":{"iot:ClientId":"t","iot:Connection.Thing.Attributes[k]":"a"},
            "NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
    );
    let from = |address: [u8; 4], value: &str| with(value).with_source_ip(address.into());
    check(&policy, Action::Publish, "topic/a", &from([192, 0, 2, 1], "a"), true);
    check(&policy, Action::Publish, "topic/a", &from([192, 0, 2, 1], "b"), false);
    check(&policy, Action::Publish, "topic/a", &from([10, 0, 2, 1], "a"), false);
}

#[test]
fn an_address_in_its_ipv6_form_counts_as_ipv4() {
    let policy = allow_if(r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#);
    let mapped = Context::new().with_source_ip("::ffff:192.0.2.7".parse().unwrap());
    check(&policy, Action::Publish, "topic/a", &mapped, true);
}

#[test]
fn the_time_comes_with_the_request() {
    let resource = support::resource("topic/a");
    let context = Context::new();
    let request = Request::new(Action::Publish, &resource, &context);
    let at = |seconds| request.at(UNIX_EPOCH + Duration::from_secs(seconds));
    let night = [allow_if(
        r#"{"DateGreaterThan":{"aws:CurrentTime":"2025-10-09T08:53:20Z"},"NumericLessThan":{"aws:EpochTime":1760000010}}"#,
    )];
    assert!(!evaluate(&night, &request).is_allowed());
    assert!(!evaluate(&night, &at(1_760_000_000)).is_allowed());
    assert!(evaluate(&night, &at(1_760_000_001)).is_allowed());
    assert!(!evaluate(&night, &at(1_760_000_010)).is_allowed());
    let today = [support::policy(&support::allow("*", "arn:aws:iot:*:topic/${aws:CurrentTime}"))];
    let dated = support::resource("topic/2025-10-09T08:53:20Z");
    let request = Request::new(Action::Publish, &dated, &context).at(UNIX_EPOCH + Duration::from_secs(1_760_000_000));
    assert!(evaluate(&today, &request).is_allowed());
}
