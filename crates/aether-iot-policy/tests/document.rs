//! What a document may hold, and what the error says about any other.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::error::Error;

use aether_iot_policy::Document;

fn with_statement(statement: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)
}

fn with_condition(condition: &str) -> String {
    with_statement(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#))
}

#[track_caller]
fn accepted(document: &str) {
    if let Err(error) = Document::parse(document) {
        panic!("{error}: {document}");
    }
}

#[track_caller]
fn refused(document: &str, place: Option<&str>, words: &[&str]) {
    let error = Document::parse(document).unwrap_err();
    let said = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    assert_eq!(error.place(), place, "{said}");
    for word in words {
        assert!(said.contains(word), "{said:?} does not say {word:?}");
    }
}

#[test]
fn every_member_is_read_in_each_of_its_forms() {
    accepted(&with_statement(r#"{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"*"}"#));
    accepted(&with_statement(r#"{"Sid":"a b","Effect":"Deny","NotAction":"iot:*","NotResource":["arn:x"]}"#));
    accepted(
        r#"{"Version":"2012-10-17","Id":"i","Statement":{"Effect":"Deny","Action":"greengrass:Discover","Resource":["*"]}}"#,
    );
    accepted(&with_condition("{}"));
    accepted(&with_condition(r#"{"Bool":{"iot:Connection.Thing.IsAttached":true},"NumericLessThan":{"a":[1,"2.5"]}}"#));
    accepted(&with_condition(r#"{"IpAddress":{"aws:SourceIp":"${iot:Connection.Thing.Attributes[net]}"}}"#));
}

#[test]
fn a_malformed_document_says_where_what_and_what_instead() {
    refused("{", None, &["not JSON", "line 1"]);
    refused("[]", Some("policy document"), &["an empty list", "object"]);
    refused(r#"{"Version":"2008-10-17","Statement":[]}"#, Some("Version"), &["2008-10-17", "2012-10-17"]);
    refused(r#"{"Statement":[]}"#, Some("Version"), &["missing"]);
    refused(r#"{"Version":"2012-10-17"}"#, Some("Statement"), &["missing"]);
    refused(r#"{"Version":"2012-10-17","Statement":[]}"#, Some("Statement"), &["empty list"]);
    refused(r#"{"Version":"2012-10-17","Statement":[1]}"#, Some("Statement[0]"), &["is 1", "object"]);
    refused(r#"{"Version":"2012-10-17","Id":7,"Statement":[]}"#, Some("Id"), &["7", "a text"]);
    refused(
        r#"{"Version":"2012-10-17","Statements":[]}"#,
        Some("Statements"),
        &["not known", "Version, Id and Statement"],
    );
    refused(r#"{"Version":"2012-10-17","Version":"2012-10-17"}"#, None, &["stands twice"]);
    let place = Some("Statement.Effect");
    refused(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"allow"}}"#,
        place,
        &["\"allow\"", "\"Allow\" or \"Deny\""],
    );
    let principal = r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#;
    refused(&with_statement(principal), Some("Statement[0].Principal"), &["not known"]);
}

#[test]
fn actions_and_resources_that_cannot_be_are_refused() {
    let check = |statement: &str, place, words: &[&str]| {
        refused(&with_statement(&format!(r#"{{"Effect":"Allow",{statement}}}"#)), Some(place), words);
    };
    check(r#""Action":"Publish","Resource":"*""#, "Statement[0].Action", &["\"Publish\"", "iot:Publish"]);
    check(r#""Action":["iot:A","iot:${iot:ClientId}"],"Resource":"*""#, "Statement[0].Action[1]", &["iot:Publish"]);
    check(r#""Action":[],"Resource":"*""#, "Statement[0].Action", &["empty list", "list of texts"]);
    check(r#""Resource":"*""#, "Statement[0].Action", &["missing"]);
    check(r#""Action":"*","NotAction":"*","Resource":"*""#, "Statement[0].NotAction", &["only one"]);
    check(r#""Action":"*""#, "Statement[0].Resource", &["missing"]);
    check(r#""Action":"*","Resource":["arn:x",{}]"#, "Statement[0].Resource[1]", &["empty object"]);
    check(r#""Action":"*","Resource":["topic/a"]"#, "Statement[0].Resource[0]", &["topic/a", "arn:"]);
    check(r#""Action":"*","NotResource":"arn:${iot:ClientId""#, "Statement[0].NotResource", &["closing brace"]);
}

#[test]
fn conditions_that_cannot_be_are_refused() {
    let check = |condition: &str, place: &str, words: &[&str]| {
        refused(&with_condition(condition), Some(&format!("Statement[0].Condition{place}")), words);
    };
    check("[]", "", &["empty list", "object"]);
    check(r#"{"StringMatches":{}}"#, ".StringMatches", &["not known", "StringLike"]);
    check(r#"{"NullIfExists":{"a":"true"}}"#, ".NullIfExists", &["not known"]);
    check(r#"{"Bool":"x"}"#, ".Bool", &["\"x\"", "object"]);
    check(r#"{"Bool":{"k":"maybe"}}"#, r#".Bool["k"]"#, &["maybe", "true"]);
    check(r#"{"Bool":{"k":["true",null]}}"#, r#".Bool["k"][1]"#, &["null", "text"]);
    check(r#"{"Bool":{"k":[]}}"#, r#".Bool["k"]"#, &["empty list"]);
    check(r#"{"NumericEquals":{"k":["1","x"]}}"#, r#".NumericEquals["k"][1]"#, &["\"x\"", "a number"]);
    check(r#"{"DateLessThan":{"k":"soon"}}"#, r#".DateLessThan["k"]"#, &["soon", "date"]);
    check(r#"{"IpAddress":{"k":"10.0.0.0/40"}}"#, r#".IpAddress["k"]"#, &["10.0.0.0/40", "192.0.2.0/24"]);
    check(r#"{"ArnLike":{"k":"topic/*"}}"#, r#".ArnLike["k"]"#, &["topic/*", "six parts"]);
    check(r#"{"Null":{"k":"0"}}"#, r#".Null["k"]"#, &["true"]);
    check(r#"{"StringLike":{"k":"${x"}}"#, r#".StringLike["k"]"#, &["closing brace"]);
}

#[test]
fn an_error_shows_no_more_than_the_start_of_a_long_value() {
    let long = "x".repeat(5000);
    for document in [
        with_statement(&format!(r#"{{"Effect":"{long}"}}"#)),
        with_statement(&format!(r#"{{"{long}":1}}"#)),
        with_condition(&format!(r#"{{"Bool":{{"{long}":"{long}"}}}}"#)),
        with_condition(&format!(r#"{{"{long}":{{}}}}"#)),
        with_condition(&format!(r#"{{"{long}":1,"{long}":2}}"#)),
    ] {
        let error = Document::parse(&document).unwrap_err();
        let said = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
        assert!(said.len() < 500, "{said}");
    }
}
