//! What the fuzz target of the control plane calls: requests to the router, over an account with a little of
//! everything and without a socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Control, Names, router};
use crate::account::Tables;
use crate::broker::{Broker, BrokerParts, Memory, ServerTls};
use crate::ca::CaFolder;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::ground::{Ground, Scratch};
use crate::pki::Authority;
use crate::provisioning::{Hooks, Provisioning, ProvisioningParts};
use crate::state::{self, State, Wanted};
use crate::trust::Trust;
use crate::{AlpnRule, KeyKind, Limits, SniRule};

/// Requests taken from one input.
const MOST: usize = 8;
/// Stands in an input between two requests.
const BETWEEN: &[u8] = b"\n---\n";

/// The account as it is before every input.
static PLANE: LazyLock<Plane> = LazyLock::new(Plane::new);

/// Makes the requests in `input`, one after another, and looks at each answer and at the account.
pub(crate) fn requests(input: &[u8]) {
    let input = PLANE.fill_in(input);
    let mut rest = &*input;
    for _ in 0..MOST {
        let end = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        let (request, after) = end.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + BETWEEN.len()..])));
        if let Some(request) = read(request) {
            PLANE.check(request);
        }
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    PLANE.put_back();
}

/// A request as it stands in an input: method and target, headers one a line, an empty line, the body.
fn read(text: &[u8]) -> Option<Request<Body>> {
    let (head, body) = match text.windows(2).position(|window| window == b"\n\n") {
        Some(at) => (&text[..at], &text[at + 2..]),
        None => (text, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::new(Body::from(body.to_vec()));
    *request.method_mut() = Method::from_bytes(first.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(first.next()?).ok()?;
    let headers = request.headers_mut();
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?);
    }
    headers.entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    headers.entry(header::AUTHORIZATION).or_insert(HeaderValue::from_static("AWS4-HMAC-SHA256 any"));
    Some(request)
}

struct Plane {
    runtime: Runtime,
    broker: Arc<Broker>,
    router: TowerToHyperService<Router>,
    /// What the blanks of an input stand for, such as `<device>`: made anew at each start.
    blanks: Vec<(&'static str, String)>,
    tables: Arc<Tables>,
}

impl Plane {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let scratch = Scratch::new().expect("a temporary directory");
        let dir = scratch.dir().to_owned();
        let (broker, control) = plane(scratch);
        let router = TowerToHyperService::new(router(&control, Router::new()));
        let mut plane = Self { runtime, tables: broker.account.read(), broker, router, blanks: Vec::new() };
        plane.furnish(&dir);
        plane.tables = plane.broker.account.read();
        plane
    }

    /// Makes a little of everything, by the operations that are to be fuzzed.
    fn furnish(&mut self, dir: &Path) {
        let ca = Authority::open(&dir.join("fuzz-ca.pem"), &dir.join("fuzz-ca.key"), "Fuzz CA").expect("a CA");
        let ca_pem = std::fs::read_to_string(dir.join("fuzz-ca.pem")).expect("the CA's certificate");
        let key = KeyPair::generate().expect("a key");
        let signed = |name: &str| ca.issue_client(name, &key).expect("a certificate").pem();
        let csr = CertificateParams::default().serialize_request(&key).and_then(|csr| csr.pem()).expect("a request");
        let policy = json!({ "policyDocument": r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"# });
        let registered = json!({ "caCertificate": ca_pem, "certificateMode": "SNI_ONLY" });
        let registered = self.made("POST", "/cacertificate?setAsActive=true&allowAutoRegistration=true", registered);
        let device = json!({ "certificatePem": signed("device"), "status": "ACTIVE" });
        let device = self.made("POST", "/certificate/register", device);
        let pending = self.made("POST", "/certificates", json!({ "certificateSigningRequest": csr }));
        for (target, body) in [
            ("/policies/all", policy),
            ("/thing-types/press", json!({ "thingTypeProperties": { "searchableAttributes": ["line"] } })),
            ("/thing-groups/hall", json!({})),
            ("/thing-groups/line", json!({ "parentGroupName": "hall" })),
            ("/billing-groups/cost", json!({})),
            (
                "/things/press-3",
                json!({ "thingTypeName": "press", "attributePayload": { "attributes": { "line": "7" } } }),
            ),
            ("/things/oven-1", json!({})),
        ] {
            self.made("POST", target, body);
        }
        let membership = json!({ "thingName": "press-3", "thingGroupName": "line" });
        self.made("PUT", "/thing-groups/addThingToThingGroup", membership);
        self.made("PUT", "/target-policies/all", json!({ "target": device["certificateArn"] }));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.blanks = vec![
            ("<device>", text(&device["certificateId"])),
            ("<pending>", text(&pending["certificateId"])),
            ("<ca>", text(&registered["certificateId"])),
            ("<ca-pem>", in_json(&ca_pem)),
            ("<device-pem>", in_json(&signed("other"))),
            ("<csr>", in_json(&csr)),
        ];
    }

    /// The answer of a request that has to go well.
    fn made(&self, method: &'static str, target: &str, body: Value) -> Value {
        let request = read(format!("{method} {target}\n\n{body}").as_bytes()).expect("a request");
        let (status, answer) = self.check(request);
        assert!(status.is_success(), "{method} {target} is answered with {status} {answer}");
        answer
    }

    /// Makes a request, and looks at what holds whatever it is.
    fn check(&self, request: Request<Body>) -> (StatusCode, Value) {
        let asked = format!("{} {}", request.method(), request.uri());
        let (response, body) = self.runtime.block_on(async {
            let response: Response = self.router.call(request).await.unwrap_or_else(|never| match never {});
            let (head, body) = response.into_parts();
            (head, to_bytes(body, usize::MAX).await.expect("a whole answer"))
        });
        let status = response.status;
        let usual = status.is_success() || status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
        assert!(usual, "{asked} is answered with {status}");
        let answer = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).expect("an answer is JSON, or empty"),
        };
        if !status.is_success() {
            assert!(answer["message"].is_string(), "{asked} is refused with {answer}");
            assert!(response.headers.contains_key("x-amzn-errortype"), "{asked} is refused without a name");
        }
        self.broker.account.read().check_sum();
        (status, answer)
    }

    fn put_back(&self) {
        self.broker.forget_devices().expect("devices can always be forgotten");
        self.broker.account.put_back(&self.tables);
    }

    /// The input with what its blanks stand for.
    fn fill_in(&self, input: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(input.len());
        let mut rest = input;
        while let Some((first, after)) = rest.split_first() {
            match self.blanks.iter().find(|(blank, _)| rest.starts_with(blank.as_bytes())) {
                Some((blank, value)) => {
                    filled.extend_from_slice(value.as_bytes());
                    rest = &rest[blank.len()..];
                }
                None => {
                    filled.push(*first);
                    rest = after;
                }
            }
        }
        filled
    }
}

/// A text as it stands between the quotation marks of a JSON text.
fn in_json(text: &str) -> String {
    Value::from(text).to_string().trim_matches('"').to_owned()
}

/// A sandbox without its ports and its tasks.
fn plane(scratch: Scratch) -> (Arc<Broker>, Arc<Control>) {
    let clock = Clock::default();
    let wanted = Wanted {
        certificate_life: None,
        dir: scratch.dir().to_owned(),
        template_name: None,
        region: None,
        account_id: None,
        clock: clock.clone(),
        endpoint_names: Vec::new(),
    };
    let limits = Limits::unpaced();
    let State {
        lock,
        account,
        template_name,
        device_ca,
        server_certificate,
        server_key,
        server_names,
        customer_cas,
        audit,
        ..
    } = state::open(&wanted, IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("a new directory");
    let memory = Memory::open(&wanted.dir, &limits).expect("a new directory");
    let rules = (AlpnRule::default(), SniRule::default());
    let tls = ServerTls::new(server_certificate, &server_key, server_names, rules).expect("a TLS identity");
    let (account, device_ca) = (Arc::new(account), Arc::new(device_ca));
    let key_kind = KeyKind::EcP256;
    let provisioning = Provisioning::new(ProvisioningParts {
        account: Arc::clone(&account),
        device_ca: Arc::clone(&device_ca),
        key_kind,
        template_name,
        hooks: Hooks::new(BTreeMap::new(), None, Hooks::TIME_LIMIT),
    });
    let broker = Arc::new(Broker::new(BrokerParts {
        audit,
        trust: Arc::new(Trust::new(Arc::clone(&account), CaFolder::new(customer_cas))),
        account,
        provisioning,
        tls,
        clock,
        limits,
        memory,
        faults: Arc::new(Faults::new(None).expect("no script")),
        ground: Ground::new(lock, Some(scratch)),
    }));
    let names = Names::default();
    let control = Control { broker: Arc::clone(&broker), device_ca, key_kind, endpoint: "localhost".to_owned(), names };
    (broker, Arc::new(control))
}
