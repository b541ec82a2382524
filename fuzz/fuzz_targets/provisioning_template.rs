//! Template bodies of each kind: read, filled in, applied to what exists.
//!
//! Input: the body, and after a line with `---` the values of parameters, one `name=value` a line.

#![no_main]

use aether_iot_template::{Parameters, PolicyPlan, Template, TemplateKind, ThingFacts, apply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (body, values) = text.split_once("\n---\n").unwrap_or((text, "SerialNumber=P3-00017\nText=a,b,c"));
    let mut parameters = Parameters::new();
    parameters.set_certificate_id("5d0c0e6f");
    for (name, value) in values.lines().filter_map(|line| line.split_once('=')) {
        let _too_long = parameters.insert(name, value);
    }
    for kind in [TemplateKind::Fleet, TemplateKind::Jitp, TemplateKind::Bulk] {
        let template = match Template::parse(kind, body) {
            Ok(template) => template,
            Err(error) => {
                assert!(error.to_string().len() < 8192, "an error stays readable");
                continue;
            }
        };
        let resolved = template.resolve(&parameters);
        assert_eq!(resolved, template.resolve(&parameters));
        let Ok(plan) = resolved else { continue };
        let configuration: usize = plan.device_configuration.values().map(String::len).sum();
        assert!(configuration <= 1 << 20, "what functions produce is bounded");
        assert!(plan.policies.iter().all(|policy| (1..=128).contains(&policy.name().len())));
        let bounded = |policy: &PolicyPlan| match policy {
            PolicyPlan::Named(_) => true,
            PolicyPlan::Inline { document, .. } => document.len() <= 1 << 20,
        };
        assert!(plan.policies.iter().all(bounded));
        let Some(thing) = plan.thing else { continue };
        for existing in [None, Some(ThingFacts::default())] {
            if let Ok(once) = apply(existing.as_ref(), &thing)
                && let Ok(twice) = apply(Some(&once), &thing)
            {
                assert_eq!(once, twice, "applied twice, a plan changes nothing more");
            }
        }
    }
});
