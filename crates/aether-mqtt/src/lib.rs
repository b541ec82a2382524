//! One mutual-TLS MQTT session with acknowledged publishes, behind a small seam.
