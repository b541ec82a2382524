//! Section 3 of the reference sheet, row by row: actions, wildcards, variables and their rules.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use aether_iot_policy::{
    Action, AlternativeName, Attachment, Certificate, Context, DecisionKind, Document, NameAttribute, Policy, Request,
    Resource, Thing, evaluate,
};
use support::{allow, allow_if, check, decide, policy, resource};

fn client(id: &str) -> Context {
    Context::new().with_client_id(id)
}

/// 3.1: default denial, explicit denial, pooling.
#[test]
fn an_explicit_deny_wins_wherever_it_stands() {
    let deny = r#"{"Sid":"No","Effect":"Deny","Action":"iot:Publish","Resource":"~topic/secret/*"}"#;
    for order in [format!("{},{deny}", allow("IOT:*", "*")), format!("{deny},{}", allow("IOT:*", "*"))] {
        let policies = [policy(&order)];
        let decide = |tail| decide(&policies, Action::Publish, &resource(tail), &client("c"));
        assert_eq!(decide("topic/open"), DecisionKind::Allowed);
        assert_eq!(decide("topic/secret/a"), DecisionKind::ExplicitDeny);
    }
    let policies = [policy(&allow("*", "*")), policy(deny)];
    let topic = resource("topic/secret/a");
    let context = client("c");
    let decision = evaluate(&policies, &Request::new(Action::Publish, &topic, &context));
    assert_eq!(decision.decided_by().unwrap().sid, Some("No"));
}

#[test]
fn several_policies_are_pooled_and_an_empty_set_denies() {
    let policies = [policy(&allow("iot:Connect", "*")), policy(&allow("iot:Publish", "~topic/a"))];
    assert_eq!(decide(&policies, Action::Publish, &resource("topic/a"), &client("c")), DecisionKind::Allowed);
    assert_eq!(decide(&policies, Action::Publish, &resource("topic/b"), &client("c")), DecisionKind::ImplicitDeny);
    assert_eq!(decide(&[], Action::Connect, &resource("client/c"), &client("c")), DecisionKind::ImplicitDeny);
    let shared: Vec<std::sync::Arc<Policy>> = policies.map(std::sync::Arc::new).into();
    let (topic, context) = (resource("topic/a"), client("c"));
    assert!(evaluate(&shared, &Request::new(Action::Publish, &topic, &context)).is_allowed());
}

#[test]
fn actions_compare_without_case_and_resources_with_case() {
    let policy = policy(&allow("iot:pub*", "~topic/Plant"));
    check(&policy, Action::Publish, "topic/Plant", &client("c"), true);
    check(&policy, Action::Publish, "topic/plant", &client("c"), false);
}

#[test]
fn not_action_and_not_resource_turn_the_match_round() {
    let policy = policy(
        r#"{"Effect":"Allow","NotAction":["iot:Publish","iot:Retain*"],"Resource":"*"},
           {"Effect":"Allow","Action":"iot:Publish","NotResource":["~topic/secret/*","~topic/${iot:Unknown}"]}"#,
    );
    check(&policy, Action::Receive, "topic/a", &client("c"), true);
    check(&policy, Action::RetainPublish, "topic/a", &client("c"), false);
    check(&policy, Action::Publish, "topic/a", &client("c"), true);
    check(&policy, Action::Publish, "topic/secret/a", &client("c"), false);
}

/// 3.2: each action on its resource and on no other.
#[test]
fn each_action_is_granted_by_its_own_name_and_resource() {
    for action in Action::ALL {
        let granted = support::arns().for_action(*action, "x/y");
        let policies = [policy(&allow(action.as_str(), granted.as_str()))];
        for asked in Action::ALL {
            let expected = if asked == action { DecisionKind::Allowed } else { DecisionKind::ImplicitDeny };
            assert_eq!(decide(&policies, *asked, &granted, &client("c")), expected, "{action} {asked}");
        }
        if *action != Action::ListRetainedMessages {
            assert_eq!(decide(&policies, *action, &resource("topic/z"), &client("c")), DecisionKind::ImplicitDeny);
        }
    }
}

#[test]
fn listing_retained_messages_needs_the_star() {
    let context = Context::new();
    assert_eq!(
        decide(
            &[policy(&allow("iot:ListRetainedMessages", "*"))],
            Action::ListRetainedMessages,
            &Resource::any(),
            &context
        ),
        DecisionKind::Allowed
    );
    assert_eq!(
        decide(&[policy(&allow("iot:*", "~topic/a"))], Action::ListRetainedMessages, &Resource::any(), &context),
        DecisionKind::ImplicitDeny
    );
}

/// 3.3: the table of wildcards.
#[test]
fn the_table_of_wildcards() {
    let rows = [
        ("~topicfilter/plant/+/temp", [Some(true), Some(false), None]),
        ("~topicfilter/plant/*", [Some(true), Some(true), None]),
        ("~topic/plant/+/temp", [None, None, Some(false)]),
        ("~topic/plant/*", [None, None, Some(true)]),
        ("~topic/plant/?/temp", [None, None, Some(true)]),
    ];
    for (written, row) in rows {
        let policy = policy(&allow("iot:*", written));
        let asked = [
            (Action::Subscribe, "topicfilter/plant/+/temp"),
            (Action::Subscribe, "topicfilter/plant/#"),
            (Action::Publish, "topic/plant/a/temp"),
        ];
        for ((action, tail), expected) in asked.into_iter().zip(row) {
            check(&policy, action, tail, &client("c"), expected.unwrap_or(false));
        }
    }
}

#[test]
fn a_wide_subscription_with_a_narrow_receive_right() {
    let policy =
        policy(&[allow("iot:Subscribe", "~topicfilter/plant/#"), allow("iot:Receive", "~topic/plant/a")].join(","));
    check(&policy, Action::Subscribe, "topicfilter/plant/#", &client("c"), true);
    check(&policy, Action::Receive, "topic/plant/a", &client("c"), true);
    check(&policy, Action::Receive, "topic/plant/b", &client("c"), false);
}

#[test]
fn a_client_id_of_plus_makes_an_mqtt_wildcard_but_a_star_makes_none() {
    let policy = policy(&allow("iot:*", "~topicfilter/x/${iot:ClientId}/y"));
    check(&policy, Action::Subscribe, "topicfilter/x/+/y", &client("+"), true);
    check(&policy, Action::Subscribe, "topicfilter/x/a/y", &client("*"), false);
    check(&policy, Action::Subscribe, "topicfilter/x/*/y", &client("*"), true);
}

#[test]
fn escapes_stand_for_themselves() {
    let policy = policy(&allow("iot:*", "~topic/${*}/${?}/${$}/$aws"));
    check(&policy, Action::Publish, "topic/*/?/$/$aws", &client("c"), true);
    check(&policy, Action::Publish, "topic/a/b/$/$aws", &client("c"), false);
}

/// 3.4: the variables of a connection and its Thing.
#[test]
fn connection_variables_in_resources() {
    let context = client("press-3")
        .with_source_ip([192, 0, 2, 7].into())
        .with_thing(Thing::new("press-3").with_type("press").with_attribute("site", "hall-b"), Attachment::Shared);
    for (variable, value) in [
        ("iot:ClientId", "press-3"),
        ("aws:SourceIp", "192.0.2.7"),
        ("iot:Connection.Thing.ThingName", "press-3"),
        ("iot:Connection.Thing.ThingTypeName", "press"),
        ("iot:Connection.Thing.Attributes[site]", "hall-b"),
        ("iot:Connection.Thing.IsAttached", "true"),
    ] {
        let policy = policy(&allow("iot:*", &format!("~topic/${{{variable}}}")));
        check(&policy, Action::Publish, &format!("topic/{value}"), &context, true);
        check(&policy, Action::Publish, "topic/other", &context, false);
        let equal = allow_if(&format!(r#"{{"StringEquals":{{"{variable}":"{value}"}}}}"#));
        check(&equal, Action::Publish, "topic/any", &context, true);
        check(&equal, Action::Publish, "topic/any", &Context::new(), false);
    }
    for missing in
        ["iot:Connection.Thing.Attributes[Site]", "iot:DomainName", "iot:ConnectAttributes", "aws:CurrentTime"]
    {
        let policy = policy(&allow("iot:*", &format!("~topic/${{{missing}}}*")));
        check(&policy, Action::Publish, "topic/", &context, false);
        check(&policy, Action::Publish, "topic/hall-b", &context, false);
        check(&policy, Action::Publish, &format!("topic/${{{missing}}}"), &context, false);
    }
}

/// 3.4 rule 1.
#[test]
fn thing_variables_need_the_client_id_to_be_the_name_or_an_exclusive_attachment() {
    let by_name = policy(&allow("iot:*", "~topic/${iot:Connection.Thing.ThingName}"));
    let attached = allow_if(r#"{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}"#);
    let detached = allow_if(r#"{"Bool":{"iot:Connection.Thing.IsAttached":["false"]}}"#);
    for (client_id, attachment, expected) in [
        ("press-3", Attachment::Shared, true),
        ("Press-3", Attachment::Shared, false),
        ("laptop", Attachment::Shared, false),
        ("press-3", Attachment::None, false),
        ("press-3", Attachment::Exclusive, true),
        ("laptop", Attachment::Exclusive, true),
    ] {
        let context = client(client_id).with_thing(Thing::new("press-3"), attachment);
        check(&by_name, Action::Publish, "topic/press-3", &context, expected);
        check(&attached, Action::Publish, "topic/a", &context, expected);
        check(&detached, Action::Publish, "topic/a", &context, !expected);
    }
    check(&by_name, Action::Publish, "topic/press-3", &client("press-3"), false);
}

/// 3.4: every attribute of subject and issuer, and rule 2.
#[test]
fn every_certificate_variable_has_first_second_and_all_values() {
    for attribute in NameAttribute::ALL {
        let subject = |c: Certificate, value: &str| c.with_subject(*attribute, value);
        let issuer = |c: Certificate, value: &str| c.with_issuer(*attribute, value);
        several(&format!("iot:Certificate.Subject.{}", attribute.as_str()), subject);
        several(&format!("iot:Certificate.Issuer.{}", attribute.as_str()), issuer);
    }
    for kind in AlternativeName::ALL {
        let subject = |c: Certificate, value: &str| c.with_subject_alternative(*kind, value);
        let issuer = |c: Certificate, value: &str| c.with_issuer_alternative(*kind, value);
        several(&format!("iot:Certificate.Subject.AlternativeName.{}", kind.as_str()), subject);
        several(&format!("iot:Certificate.Issuer.AlternativeName.{}", kind.as_str()), issuer);
    }
}

#[track_caller]
fn several(variable: &str, add: impl Fn(Certificate, &str) -> Certificate) {
    let certificate = ["v0", "v1", "v2"].into_iter().fold(Certificate::new(), &add);
    let context = client("c").with_certificate(certificate);
    for (suffix, value) in [("", Some("v0")), (".1", Some("v1")), (".2", Some("v2")), (".3", None), (".List", None)] {
        let policy = policy(&allow("iot:*", &format!("~topic/${{{variable}{suffix}}}")));
        for asked in ["v0", "v1", "v2", ""] {
            check(&policy, Action::Publish, &format!("topic/{asked}"), &context, value == Some(asked));
        }
    }
    let all = |values: &str| allow_if(&format!(r#"{{"ForAllValues:StringEquals":{{"{variable}.List":[{values}]}}}}"#));
    check(&all(r#""v0","v1","v2","v3""#), Action::Publish, "topic/a", &context, true);
    check(&all(r#""v0","v1""#), Action::Publish, "topic/a", &context, false);
    let any = |value: &str| allow_if(&format!(r#"{{"ForAnyValue:StringEquals":{{"{variable}.List":"{value}"}}}}"#));
    check(&any("v2"), Action::Publish, "topic/a", &context, true);
    check(&any("v3"), Action::Publish, "topic/a", &context, false);
    let available = |name: &str| {
        allow_if(&format!(r#"{{"ForAnyValue:StringEquals":{{"iot:Certificate.AvailableKeys":"{name}"}}}}"#))
    };
    check(&available(variable), Action::Publish, "topic/a", &context, true);
    check(&available(&format!("{variable}.2")), Action::Publish, "topic/a", &context, true);
    check(&available(&format!("{variable}.3")), Action::Publish, "topic/a", &context, false);
}

#[test]
fn the_serial_number_of_the_certificate_is_not_the_one_of_its_subject() {
    let certificate = Certificate::new().with_serial_number("4f2a").with_subject(NameAttribute::SerialNumber, "P3");
    let context = client("c").with_certificate(certificate);
    let by_serial =
        policy(&allow("iot:*", "~topic/${iot:Certificate.SerialNumber}/${iot:Certificate.Subject.SerialNumber}"));
    check(&by_serial, Action::Publish, "topic/4f2a/P3", &context, true);
    check(&by_serial, Action::Publish, "topic/P3/4f2a", &context, false);
}

fn with_common_name(value: &str) -> Context {
    client("c").with_certificate(Certificate::new().with_subject(NameAttribute::CommonName, value))
}

/// 3.4 rule 3.
#[test]
fn certificate_values_with_special_characters_are_not_filled_in() {
    let policy = policy(&allow("iot:*", "~topic/${iot:Certificate.Subject.CommonName}"));
    check(&policy, Action::Publish, "topic/plain", &with_common_name("plain"), true);
    for special in ["a*", "a$", "a+", "a?", "a#"] {
        let context = with_common_name(special);
        check(&policy, Action::Publish, &format!("topic/{special}"), &context, false);
        check(&policy, Action::Publish, "topic/ab", &context, false);
        check(&policy, Action::Publish, "topic/${iot:Certificate.Subject.CommonName}", &context, false);
    }
}

/// 3.4 rule 4.
#[test]
fn lists_are_cut_at_five_and_long_values_not_filled_in() {
    let certificate = (0..7).fold(Certificate::new(), |certificate, n| {
        certificate.with_subject(NameAttribute::OrganizationalUnit, &format!("v{n}"))
    });
    let context = client("c").with_certificate(certificate);
    let at = |n: usize| policy(&allow("iot:*", &format!("~topic/${{iot:Certificate.Subject.OrganizationalUnit.{n}}}")));
    check(&at(4), Action::Publish, "topic/v4", &context, true);
    check(&at(5), Action::Publish, "topic/v5", &context, false);
    let any = |value| {
        allow_if(&format!(
            r#"{{"ForAnyValue:StringEquals":{{"iot:Certificate.Subject.OrganizationalUnit.List":"{value}"}}}}"#
        ))
    };
    check(&any("v4"), Action::Publish, "topic/a", &context, true);
    check(&any("v5"), Action::Publish, "topic/a", &context, false);

    let by_name = policy(&allow("iot:*", "~topic/${iot:Certificate.Subject.CommonName}"));
    for (length, expected) in [(1024, true), (1025, false)] {
        let value = "é".repeat(length);
        check(&by_name, Action::Publish, &format!("topic/{value}"), &with_common_name(&value), expected);
    }
}

/// 3.4 rule 5.
#[test]
fn special_characters_of_certificate_values_carry_a_backslash() {
    let by_name = policy(&allow("iot:*", "~topic/${iot:Certificate.Subject.CommonName}"));
    for (value, compared) in
        [(",", "\\,"), ("\"", "\\\""), ("\\", "\\\\"), ("=", "\\="), ("<", "\\<"), (">", "\\>"), (";", "\\;")]
    {
        let context = with_common_name(&format!("a{value}b"));
        check(&by_name, Action::Publish, &format!("topic/a{compared}b"), &context, true);
        check(&by_name, Action::Publish, &format!("topic/a{value}b"), &context, false);
    }
    let plus = allow_if(r#"{"StringEquals":{"iot:Certificate.Subject.CommonName":"a\\+b"}}"#);
    check(&plus, Action::Publish, "topic/a", &with_common_name("a+b"), true);
}

/// 3.4 rule 6.
#[test]
fn an_unresolved_or_empty_variable_never_becomes_nothing() {
    let policy = policy(&allow("iot:*", "~topic/${iot:Connection.Thing.Attributes[site]}*"));
    let with_site =
        |site: &str| client("t").with_thing(Thing::new("t").with_attribute("site", site), Attachment::Shared);
    check(&policy, Action::Publish, "topic/hall-b/x", &with_site("hall-b"), true);
    check(&policy, Action::Publish, "topic/anything", &with_site(""), false);
    let empty = allow_if(r#"{"StringEquals":{"iot:Connection.Thing.Attributes[site]":""}}"#);
    check(&empty, Action::Publish, "topic/a", &with_site(""), true);
    let unlike = allow_if(r#"{"StringNotEquals":{"iot:ClientId":"${iot:Connection.Thing.ThingName}"}}"#);
    check(&unlike, Action::Publish, "topic/a", &client("t"), true);
    check(&unlike, Action::Publish, "topic/a", &with_site("x"), false);
}

/// 3.5.
#[test]
fn connect_attributes_decide_connects_only() {
    let all = allow_if(r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["PersistentConnect"]}}"#);
    let any = allow_if(r#"{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"LastWill"}}"#);
    let will = support::arns().topic("press/gone");
    let plain = client("c");
    let persistent = client("c").with_persistent_session();
    let both = client("c").with_persistent_session().with_last_will(&will);
    check(&all, Action::Connect, "client/c", &plain, true);
    check(&all, Action::Connect, "client/c", &persistent, true);
    check(&all, Action::Connect, "client/c", &both, false);
    check(&any, Action::Connect, "client/c", &plain, false);
    check(&any, Action::Connect, "client/c", &persistent, false);
    check(&any, Action::Connect, "client/c", &both, true);
    check(&any, Action::Publish, "topic/a", &both, false);
}

#[test]
fn persistence_is_taken_away_by_a_deny_over_an_allow() {
    let deny = r#"{"Effect":"Deny","Action":"iot:Connect","Resource":"*",
        "Condition":{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"PersistentConnect"}}}"#;
    let open = policy(&allow("iot:Connect", "*"));
    let closed = policy(&format!("{},{deny}", allow("iot:Connect", "*")));
    let persistent = client("c").with_persistent_session();
    check(&open, Action::Connect, "client/c", &persistent, true);
    check(&closed, Action::Connect, "client/c", &persistent, false);
    check(&closed, Action::Connect, "client/c", &client("c"), true);
}

#[test]
fn the_will_topic_is_compared_as_an_arn() {
    let own =
        allow_if(r#"{"ArnEquals":{"iot:LastWillTopic":"arn:aws:iot:*:123456789012:topic/${iot:ClientId}/gone*"}}"#);
    let with_will = |topic: &str| client("c").with_last_will(&support::arns().topic(topic));
    check(&own, Action::Connect, "client/c", &with_will("c/gone"), true);
    check(&own, Action::Connect, "client/c", &with_will("c/gone:for:good"), true);
    check(&own, Action::Connect, "client/c", &with_will("d/gone"), false);
    check(&own, Action::Connect, "client/c", &client("c"), false);
}

/// 3.7.
#[test]
fn the_device_policy_ties_topics_to_the_thing() {
    let statements = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"~client/${iot:Connection.Thing.ThingName}",
        "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
        {"Effect":"Allow","Action":"iot:Publish","Resource":"~topic/${iot:Connection.Thing.ThingName}"}"#;
    let policy = policy(statements);
    let attached = |id: &str| client(id).with_thing(Thing::new("line7-press3"), Attachment::Shared);
    check(&policy, Action::Connect, "client/line7-press3", &attached("line7-press3"), true);
    check(&policy, Action::Publish, "topic/line7-press3", &attached("line7-press3"), true);
    check(&policy, Action::Publish, "topic/line7-press4", &attached("line7-press3"), false);
    check(&policy, Action::RetainPublish, "topic/line7-press3", &attached("line7-press3"), false);
    check(&policy, Action::Connect, "client/other", &attached("other"), false);
    check(&policy, Action::Connect, "client/line7-press3", &client("line7-press3"), false);
}

/// 1.6: the size limit is a check of its own.
#[test]
fn the_size_limit_leaves_out_white_space() {
    let document = |length: usize| {
        let room = length
            - r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:"}]}"#.len();
        format!(
            "{{ \"Version\": \"2012-10-17\",\n\t\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"arn:{}\"}}]}}",
            "é".repeat(room)
        )
    };
    assert!(Document::check_size(&document(2048)).is_ok());
    assert!(Document::parse(&document(2049)).is_ok());
    let error = Document::check_size(&document(2049)).unwrap_err();
    assert!(error.to_string().contains("2049"), "{error}");
}
