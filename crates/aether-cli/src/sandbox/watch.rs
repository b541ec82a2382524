//! What happens in the running sandbox, line by line.

use std::pin::pin;

use serde_json::Value;

use super::client::{Client, Events, encoded};
use super::options::{DecisionsOptions, SubscribeOptions};
use super::table::{cell, printable};
use crate::failure::Failure;
use crate::output::{line, reader_gone};
use crate::signals;

pub(crate) async fn subscribe(options: &SubscribeOptions) -> Result<(), Failure> {
    let client = Client::of(&options.common.dir)?;
    let events = client.events(&format!("/messages?filter={}", encoded(&options.filter))).await?;
    let mut left = options.count;
    each(events, |event| {
        if let Some(missed) = event["missed"].as_u64() {
            log_missed(missed, "messages");
            return true;
        }
        match options.common.json {
            true => line(&event.to_string()),
            false => line(&format!("{}  {}", cell(&event["topic"]), payload(event))),
        }
        left = left.map(|left| left.saturating_sub(1));
        left != Some(0)
    })
    .await
}

fn payload(event: &Value) -> String {
    match event["payload"].as_str() {
        Some(text) => printable(text),
        None => format!("({} bytes, base64) {}", event["bytes"], cell(&event["payload_base64"])),
    }
}

pub(crate) async fn decisions(options: &DecisionsOptions) -> Result<(), Failure> {
    let client = Client::of(&options.common.dir)?;
    let show = |decision: &Value| {
        if let Some(missed) = decision["missed"].as_u64() {
            log_missed(missed, "decisions");
        } else {
            match options.common.json {
                true => line(&decision.to_string()),
                false => line(&in_words(decision)),
            }
        }
    };
    // Filtered there: the latest denials may lie far behind the latest decisions.
    let wanted = format!("last={}{}", options.last, if options.denied { "&decision=denied" } else { "" });
    if options.follow {
        let events = client.events(&format!("/decisions/stream?{wanted}")).await?;
        return each(events, |decision| {
            show(decision);
            true
        })
        .await;
    }
    let answer = client.get(&format!("/decisions?{wanted}")).await?;
    answer["decisions"].as_array().into_iter().flatten().for_each(show);
    Ok(())
}

/// `05:12:07.123  denied   publish  press-3/x  press-3  statement 0 of policy aether-device`
fn in_words(decision: &Value) -> String {
    let text = |key: &str| decision.get(key).map(cell).unwrap_or_default();
    let at = text("at");
    let mut words = format!("{}  {:<7}  {:<11}", at.get(11..23).unwrap_or(&at), text("decision"), text("event"));
    for key in ["topic", "client_id"] {
        if decision.get(key).is_some() {
            words += &format!("  {}", text(key));
        }
    }
    if decision.get("policy").is_some() {
        words += &format!("  statement {} of policy {}", text("statement"), text("policy"));
    }
    if decision.get("reason").is_some() {
        words += &format!("  {}", text("reason"));
    }
    words
}

fn log_missed(count: u64, what: &str) {
    tracing::warn!("{count} {what} came faster than they could be read and are missing");
}

/// Shows events until one is enough, Ctrl-C, or the end of the output.
async fn each(mut events: Events, mut show: impl FnMut(&Value) -> bool) -> Result<(), Failure> {
    let mut asked = pin!(signals::end_asked().map_err(Failure::running)?);
    loop {
        let event = tokio::select! {
            () = &mut asked => return Ok(()),
            () = reader_gone() => return Ok(()),
            event = events.next() => event?,
        };
        match event {
            Some(event) if show(&event) => {}
            Some(_) => return Ok(()),
            None => return Err(Failure::running("the sandbox has stopped")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decision_is_one_line_that_names_the_statement() {
        let decision = json!({
            "at": "2026-11-22T05:12:07.123456Z", "event": "publish", "decision": "denied", "topic": "a\nb",
            "client_id": "press-3", "policy": "aether-device", "statement": 1, "connection": 4,
        });
        let expected = "05:12:07.123  denied   publish      a\\nb  press-3  statement 1 of policy aether-device";
        assert_eq!(in_words(&decision), expected);
    }
}
