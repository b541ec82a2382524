//! An offline AWS IoT Core for development, CI and integrators: mutual TLS, fleet provisioning, policies.
