//! Sigils served over OPC UA.
