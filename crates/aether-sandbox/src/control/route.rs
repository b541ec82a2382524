//! The table of operations: method and path on one side, a function on the other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::call::Call;
use super::error::{ApiError, Exception};
use super::percent;
use super::{
    attachments, authorization, billing_groups, ca_certificates, certificates, claims, data, endpoint, memberships,
    policies, register_thing, registrations, tags, templates, thing_groups, thing_types, things,
};

/// What carries out an operation. It may block. `Value::Null` answers with an empty body.
pub(super) type Handler = fn(&Call<'_>) -> Result<Value, ApiError>;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    /// Its name in the API Reference.
    pub(super) operation: &'static str,
    pub(super) method: &'static str,
    /// A segment in braces stands for any value.
    pub(super) path: &'static str,
    pub(super) handler: Handler,
}

/// A row of a family's table.
pub(super) const fn route(
    operation: &'static str,
    method: &'static str,
    path: &'static str,
    handler: Handler,
) -> Route {
    Route { operation, method, path, handler }
}

/// Everything that is served, by family.
const FAMILIES: &[&[Route]] = &[
    attachments::ROUTES,
    authorization::ROUTES,
    billing_groups::ROUTES,
    ca_certificates::ROUTES,
    certificates::ROUTES,
    claims::ROUTES,
    data::ROUTES,
    endpoint::ROUTES,
    memberships::ROUTES,
    policies::ROUTES,
    register_thing::ROUTES,
    registrations::ROUTES,
    tags::ROUTES,
    templates::ROUTES,
    thing_groups::ROUTES,
    thing_types::ROUTES,
    things::ROUTES,
];

/// What AWS has and the sandbox has not, by the beginning of its path.
const LEFT_OUT: &[(&str, &str)] = &[
    ("/transfer-certificate/", "certificates are not transferred between accounts: there is one account"),
    ("/accept-certificate-transfer/", "certificates are not transferred between accounts: there is one account"),
    ("/reject-certificate-transfer/", "certificates are not transferred between accounts: there is one account"),
    ("/cancel-certificate-transfer/", "certificates are not transferred between accounts: there is one account"),
    ("/certificates-out-going", "certificates are not transferred between accounts: there is one account"),
    ("/api/things/shadow/", "device shadows are not kept"),
    ("/rules", "there is no rules engine"),
    ("/jobs", "there are no jobs"),
    ("/job-templates", "there are no jobs"),
    ("/role-aliases", "there is no credentials provider"),
    ("/authorizers", "there are no custom authorizers"),
    ("/domainConfigurations", "there are no domain configurations"),
    ("/event-configurations", "registry events are not published"),
    ("/indices", "there is no fleet indexing"),
    ("/dynamic-thing-groups", "there are no dynamic groups"),
    ("/audit", "there is no Device Defender"),
    ("/security-profiles", "there is no Device Defender"),
    ("/thing-registration-tasks", "there is no bulk registration"),
];

impl Route {
    /// Whether it changes nothing, going by its name.
    pub(super) fn only_reads(&self) -> bool {
        ["List", "Get", "Describe", "Test"].iter().any(|prefix| self.operation.starts_with(prefix))
    }

    /// The values of the braces, when the path fits.
    fn matches<'p>(&self, segments: &[&'p str]) -> Option<BTreeMap<&'static str, &'p str>> {
        let mut values = BTreeMap::new();
        let mut pattern = self.path.split('/').skip(1);
        for segment in segments {
            let expected = pattern.next()?;
            match expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(_) if segment.is_empty() => return None,
                Some(name) => drop(values.insert(name, *segment)),
                None if expected == *segment => {}
                None => return None,
            }
        }
        pattern.next().is_none().then_some(values)
    }
}

fn all() -> impl Iterator<Item = &'static Route> {
    FAMILIES.iter().copied().flatten()
}

/// Finds the operation of a request, and the decoded values in its path.
pub(super) fn find(method: &str, path: &str) -> Result<(&'static Route, BTreeMap<&'static str, String>), ApiError> {
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let mut fitting: Vec<_> = all().filter_map(|route| Some((route, route.matches(&segments)?))).collect();
    // `thing-groups/addThingToThingGroup` is no group of that name.
    fitting.sort_by_key(|(_, values)| values.len());
    let Some((route, values)) = fitting.into_iter().find(|(route, _)| route.method == method) else {
        return Err(unknown(method, path, &segments));
    };
    let decoded = values.into_iter().map(|(name, value)| Ok((name, percent::decode(value, false)?)));
    Ok((route, decoded.collect::<Result<_, ApiError>>()?))
}

fn unknown(method: &str, path: &str, segments: &[&str]) -> ApiError {
    let shadow = || {
        (segments.first() == Some(&"things") && segments.get(2) == Some(&"shadow"))
            .then_some("device shadows are not kept")
    };
    let reason = LEFT_OUT.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, reason)| *reason);
    if let Some(reason) = reason.or_else(shadow) {
        let words = format!("{method} {path} is an operation the sandbox leaves out: {reason}");
        return ApiError::new(Exception::NotImplemented, words);
    }
    let served: Vec<_> = all().map(|route| route.operation).collect();
    let words = format!("{method} {path} is no operation of the sandbox, which serves {}", served.join(", "));
    ApiError::new(Exception::UnknownOperation, words)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_operations_share_a_name_or_a_place() {
        let names: BTreeSet<_> = all().map(|route| route.operation).collect();
        let places: BTreeSet<_> = all().map(|route| (route.method, route.path)).collect();
        assert_eq!((names.len(), places.len()), (all().count(), all().count()));
    }

    #[test]
    fn values_of_the_path_are_decoded_once() {
        let (route, values) = find("GET", "/policies/a%2Bb%2525").unwrap();
        assert_eq!((route.operation, values["policyName"].as_str()), ("GetPolicy", "a+b%25"));
    }

    #[test]
    fn what_is_left_out_is_told_from_what_is_unknown() {
        assert_eq!(find("GET", "/jobs/7").unwrap_err().exception, Exception::NotImplemented);
        assert_eq!(find("GET", "/things/a/shadow").unwrap_err().exception, Exception::NotImplemented);
        let error = find("GET", "/nonsense").unwrap_err();
        assert_eq!(error.exception, Exception::UnknownOperation);
        assert!(error.message.contains("GetPolicy"), "{error}");
        assert_eq!(find("GET", "/policies/").unwrap_err().exception, Exception::UnknownOperation);
    }
}
