//! The runtime that turns a machine into a trusted, observable citizen of the cloud.
