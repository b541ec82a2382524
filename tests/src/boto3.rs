//! boto3, called from a test: each call goes through the real library and comes back as JSON.

use serde_json::{Value, json};

use crate::aether::Sandbox;
use crate::dialogue::Dialogue;
use crate::foreign;

/// A running boto3 with its clients for the sandbox's control plane.
///
/// Operations are named as boto3 names them (`describe_thing`), parameters and results as AWS does (`thingName`).
/// Times are seconds since 1970.
#[derive(Debug)]
pub struct Boto3 {
    script: Dialogue,
}

/// How the service refused a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "taken apart by tests")]
pub struct Refusal {
    /// `ResourceNotFoundException`, for example.
    pub code: String,
    /// HTTP status.
    pub status: u64,
    /// What it said.
    pub message: String,
    /// What else was in the answer, such as `resourceArn`.
    pub members: Value,
}

impl Boto3 {
    /// Starts it against `sandbox`.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn start(sandbox: &Sandbox) -> Self {
        let mut command = foreign::aws_python("boto3_caller.py");
        Self { script: Dialogue::start(command.env("AWS_ENDPOINT_URL", sandbox.control_url())) }
    }

    /// Calls an operation of `iot` and gives its result.
    ///
    /// # Panics
    ///
    /// When it is refused.
    #[track_caller]
    pub fn iot(&mut self, operation: &str, parameters: Value) -> Value {
        self.call("iot", operation, parameters).unwrap_or_else(|refusal| panic!("{operation} was refused: {refusal:?}"))
    }

    /// Calls an operation of `iot-data` and gives its result.
    ///
    /// # Panics
    ///
    /// When it is refused.
    #[track_caller]
    pub fn iot_data(&mut self, operation: &str, parameters: Value) -> Value {
        self.call("iot-data", operation, parameters)
            .unwrap_or_else(|refusal| panic!("{operation} was refused: {refusal:?}"))
    }

    /// Calls an operation of `iot` that has to be refused, and gives the name of the exception and its HTTP status.
    ///
    /// # Panics
    ///
    /// When it is let through.
    #[track_caller]
    pub fn refused(&mut self, operation: &str, parameters: Value) -> (String, u64) {
        match self.call("iot", operation, parameters) {
            Ok(result) => panic!("{operation} was let through: {result}"),
            Err(refusal) => (refusal.code, refusal.status),
        }
    }

    /// Calls an operation.
    ///
    /// # Errors
    ///
    /// What the service said when it refused.
    ///
    /// # Panics
    ///
    /// When boto3 can make nothing of the call or of the answer.
    #[track_caller]
    pub fn call(&mut self, service: &str, operation: &str, parameters: Value) -> Result<Value, Refusal> {
        let request = json!({ "service": service, "operation": operation, "parameters": parameters });
        self.ask(&request)
    }

    /// Fetches every page of an operation of `iot` that lists: all of `key`, and how many pages there were.
    ///
    /// # Panics
    ///
    /// When it is refused.
    #[track_caller]
    pub fn all(&mut self, operation: &str, parameters: Value, key: &str) -> (Vec<Value>, u64) {
        let request = json!({ "service": "iot", "operation": operation, "parameters": parameters, "all": key });
        let found = self.ask(&request).unwrap_or_else(|refusal| panic!("{operation} was refused: {refusal:?}"));
        let items = found[key].as_array().expect("a list was asked for").clone();
        (items, found["pages"].as_u64().expect("the script counts pages"))
    }

    #[track_caller]
    fn ask(&mut self, request: &Value) -> Result<Value, Refusal> {
        let mut answer = self.script.ask(request);
        if let Some(code) = answer["error"].as_str() {
            return Err(Refusal {
                code: code.to_owned(),
                status: answer["status"].as_u64().expect("a status"),
                message: answer["message"].as_str().unwrap_or_default().to_owned(),
                members: answer["members"].take(),
            });
        }
        Ok(answer["result"].take())
    }
}
