//! By which names and addresses clients reach this machine.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use tokio::{net::lookup_host, time::timeout};

use crate::url::OpcUaUrl;

/// An address of another network (TEST-NET-1, RFC 5737); nothing is ever sent to it.
const ELSEWHERE: &str = "192.0.2.1:9";
/// Longest wait for a name server, which may be out of reach when a plant starts.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns the machine's name, where it has one that fits into an address.
pub(crate) fn machine_name() -> Option<String> {
    let name = opcua::crypto::hostname().ok()?;
    let fits = format!("opc.tcp://{name}").parse::<OpcUaUrl>().is_ok();
    fits.then_some(name)
}

/// Returns the address from which this machine talks to other networks.
pub(crate) fn outward_address() -> Option<IpAddr> {
    // To connect a UDP socket sends nothing; it makes the system choose the way.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect(ELSEWHERE).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// Returns the host that clients should dial for a server that listens at `bound`.
///
/// That is the host configured. Where it stands for every address of the machine, it is the
/// machine's name if that leads here from outside, else the outward address.
pub(crate) async fn dialable(url: &OpcUaUrl, bound: SocketAddr) -> String {
    if !bound.ip().to_canonical().is_unspecified() {
        return url.host().to_owned();
    }
    let name = machine_name();
    if let Some(name) = &name
        && let Ok(Ok(addresses)) = timeout(PATIENCE, lookup_host((name.as_str(), bound.port()))).await
        && addresses.map(|a| a.ip().to_canonical()).any(|ip| !ip.is_loopback() && !ip.is_unspecified())
    {
        return name.clone();
    }
    outward_address().map(|ip| ip.to_string()).or(name).unwrap_or_else(|| "localhost".to_owned())
}

/// Returns every name and address that a certificate should vouch for.
pub(crate) fn certified_hosts(url: &OpcUaUrl, dialable: &str) -> Vec<String> {
    let mut hosts = vec![dialable.to_owned()];
    let specified = url.ip().is_none_or(|ip| !ip.to_canonical().is_unspecified());
    hosts.extend(specified.then(|| url.host().to_owned()));
    hosts.extend(machine_name());
    hosts.extend(outward_address().map(|ip| ip.to_string()));
    hosts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let mut seen = std::collections::HashSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_client_is_sent_to_the_address_that_stands_for_all() {
        for (url, bound) in [("opc.tcp://0.0.0.0", "0.0.0.0:4840"), ("opc.tcp://[::]", "[::]:4840")] {
            let url: OpcUaUrl = url.parse().unwrap();
            let host = dialable(&url, bound.parse().unwrap()).await;
            assert!(!host.is_empty() && host != "0.0.0.0" && host != "::", "{host}");
            assert!(!certified_hosts(&url, &host).iter().any(|h| h == "0.0.0.0" || h == "::"));
        }
    }

    #[tokio::test]
    async fn a_host_that_was_chosen_is_kept() {
        let url: OpcUaUrl = "opc.tcp://plc-gw.example:4840".parse().unwrap();
        assert_eq!(dialable(&url, "10.0.0.5:4840".parse().unwrap()).await, "plc-gw.example");
        assert_eq!(certified_hosts(&url, "plc-gw.example").iter().filter(|h| *h == "plc-gw.example").count(), 1);
    }
}
