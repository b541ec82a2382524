//! A device identity from AWS IoT Core fleet provisioning by claim.
