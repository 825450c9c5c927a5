//! The network, looked at through the configured STUN and TURN servers, and in plain words what this site needs of them.

use super::Finding::{self, Bad, Good, Note, Skipped};
use crate::link::{self, Answer, Mapping, Reach, Refusal, Survey, Surveyed};

/// One finding for each server, and one on the whole.
pub(super) fn findings(config: &link::Config) -> Vec<(&'static str, Finding)> {
    if config.ice_servers.is_empty() {
        return vec![("network", without_servers())];
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![("network", Bad(error.to_string()))],
    };
    let survey = match runtime.block_on(link::survey(config)) {
        Ok(survey) => survey,
        Err(error) => return vec![("network", Bad(error.to_string()))],
    };
    let mut findings: Vec<_> = survey.servers.iter().map(|surveyed| ("server", server(surveyed, &survey))).collect();
    findings.push(("network", network(&survey)));
    findings
}

fn without_servers() -> Finding {
    Skipped(
        "no STUN or TURN servers in [link] ice_servers: the portals must be in one network, or reach each other's UDP ports; \
         otherwise see \"Networks\" in the README"
            .into(),
    )
}

fn server(surveyed: &Surveyed, survey: &Survey) -> Finding {
    let Surveyed { url, reach, answer, took } = surveyed;
    let problem = match answer {
        Ok(Answer::Mapped(address)) => {
            return Good(format!("{url} sees us as {address}, after {} ms", took.as_millis()));
        }
        Ok(Answer::Relayed(address)) => {
            return Good(format!("{url} relays for us at {address}, after {} ms", took.as_millis()));
        }
        Err(Refusal::Unknown) => "its name has no address: is it misspelt, and does DNS work here?".into(),
        Err(Refusal::Silent) => match reach {
            Reach::Stun | Reach::TurnUdp => "no answer: is UDP let out to this port, and is the server running?".into(),
            _ => "no answer: is TCP let out to this port, and is the server running?".into(),
        },
        Err(Refusal::Unreachable(reason)) if reason.contains("certificate") => format!(
            "{reason}: if the server is your own, name the certificate that signed its in [link] ice_ca_file; if not, somebody is in \
             between"
        ),
        Err(Refusal::Unreachable(reason)) => format!("{reason}: is the server running, and the port right?"),
        Err(Refusal::Credentials) => "username or credential is wrong, or expired".into(),
        Err(Refusal::Unwilling(reason)) => format!("it refuses: {reason}"),
    };
    let words = format!("{url}: {problem}");
    // A way that is blocked is no fault where another one is open.
    let blocked = matches!(answer, Err(Refusal::Silent | Refusal::Unreachable(_)));
    if blocked && works(survey, |_| true) { Note(words) } else { Bad(words) }
}

fn works(survey: &Survey, wanted: impl Fn(Reach) -> bool) -> bool {
    survey.servers.iter().any(|surveyed| surveyed.answer.is_ok() && wanted(surveyed.reach))
}

/// What the site needs.
fn network(survey: &Survey) -> Finding {
    let over_tcp = |reach| matches!(reach, Reach::TurnTcp | Reach::TurnTls);
    let relay = works(survey, |reach| reach != Reach::Stun);
    let by =
        [Reach::TurnUdp, Reach::TurnTcp, Reach::TurnTls].into_iter().find(|way| works(survey, |reach| reach == *way));
    let asked_over_udp = survey.servers.iter().any(|surveyed| !over_tcp(surveyed.reach));
    match (survey.mapping, by) {
        (Mapping::NoAnswer, None) => Bad(
            "none of the servers can be used, so only a far end in this network can be reached: see the servers above; where \
             UDP is blocked, turns:host:443 gets out almost everywhere"
                .into(),
        ),
        (Mapping::NoAnswer, Some(way)) if !asked_over_udp => {
            Good(format!("{way} works; whether UDP gets out was not asked (a stun: or turn: server would tell)"))
        }
        (Mapping::NoAnswer, Some(Reach::TurnUdp)) => Good(
            "UDP gets out to a TURN server; what address translation makes of it is not known (another stun: server would tell)"
                .into(),
        ),
        (Mapping::NoAnswer, Some(way)) => Note(format!(
            "UDP is blocked here: pictures go by {way}, which holds them up when a packet is lost; letting UDP out to the TURN \
             server would be better"
        )),
        (Mapping::None, _) => Good("UDP gets out, and there is no address translation: direct connections are likely".into()),
        (Mapping::Same(address), _) => Good(format!(
            "UDP gets out, translated to {address} whomever we talk to: direct connections are likely{}",
            if relay { "" } else { "; where the far end is behind a symmetric NAT, a turn: server is needed" }
        )),
        (Mapping::Varies, Some(way)) => Good(format!(
            "UDP gets out, but translated to another port for each far end (symmetric): direct only to a far end that is open, \
             otherwise by {way}"
        )),
        (Mapping::Varies, None) => Bad(
            "UDP gets out, but translated to another port for each far end (symmetric): direct only to a far end that is open; \
             otherwise a turn: server is needed, at one of the two sites"
                .into(),
        ),
        (Mapping::Translated(address), _) => Good(format!(
            "UDP gets out, translated to {address}; a second STUN server would tell what kind of translation it is{}",
            if relay { "" } else { ", and whether a turn: server is needed" }
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn survey(mapping: Mapping, servers: &[(Reach, bool)]) -> Survey {
        let address = "203.0.113.1:49160".parse().unwrap();
        let surveyed = |&(reach, good): &(Reach, bool)| Surveyed {
            url: "turn:relay".into(),
            reach,
            answer: if good { Ok(Answer::Relayed(address)) } else { Err(Refusal::Silent) },
            took: Duration::from_millis(12),
        };
        Survey { servers: servers.iter().map(surveyed).collect(), mapping }
    }

    #[test]
    fn what_the_site_needs() {
        use Reach::{Stun, TurnTcp, TurnTls, TurnUdp};
        let public = "203.0.113.7:5000".parse().unwrap();
        let said = |finding| match finding {
            Good(words) => format!("good: {words}"),
            Note(words) => format!("note: {words}"),
            Bad(words) => format!("bad: {words}"),
            Skipped(words) => format!("skipped: {words}"),
        };
        for (mapping, servers, verdict, word) in [
            (Mapping::None, &[(Stun, true)][..], "good", "no address translation"),
            (Mapping::Same(public), &[(Stun, true)], "good", "turn: server is needed"),
            (Mapping::Same(public), &[(Stun, true), (TurnUdp, true)], "good", "likely"),
            (Mapping::Varies, &[(Stun, true)], "bad", "a turn: server is needed"),
            (Mapping::Varies, &[(Stun, true), (TurnTls, true)], "good", "TURN over TLS"),
            (Mapping::Varies, &[(TurnUdp, true), (TurnTls, true)], "good", "TURN over UDP"),
            (Mapping::Translated(public), &[(Stun, true)], "good", "second STUN server"),
            (Mapping::NoAnswer, &[(Stun, false), (TurnTcp, true)], "note", "UDP is blocked here"),
            (Mapping::NoAnswer, &[(TurnTls, true)], "good", "was not asked"),
            (Mapping::NoAnswer, &[(Stun, false), (TurnUdp, true)], "good", "UDP gets out to a TURN server"),
            (Mapping::NoAnswer, &[(Stun, false), (TurnTls, false)], "bad", "turns:host:443"),
        ] {
            let words = said(network(&survey(mapping, servers)));
            assert!(words.starts_with(verdict) && words.contains(word), "{mapping:?}, {servers:?}: {words}");
        }
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        let mut one = survey(Mapping::NoAnswer, &[(Reach::TurnTls, false)]);
        for (refusal, remedy) in [
            (Refusal::Unknown, "misspelt"),
            (Refusal::Silent, "TCP let out"),
            (Refusal::Unreachable("invalid peer certificate: UnknownIssuer".into()), "ice_ca_file"),
            (Refusal::Unreachable("connection refused".into()), "running"),
            (Refusal::Credentials, "credential is wrong"),
        ] {
            one.servers[0].answer = Err(refusal);
            let finding = server(&one.servers[0], &one);
            assert!(matches!(&finding, Bad(words) if words.contains(remedy)), "{finding:?}");
        }
        let two = survey(Mapping::NoAnswer, &[(Reach::TurnUdp, false), (Reach::TurnTls, true)]);
        assert!(matches!(server(&two.servers[0], &two), Note(words) if words.contains("UDP let out")));
        assert!(matches!(server(&two.servers[1], &two), Good(words) if words.contains("12 ms")));
    }

    #[test]
    fn without_servers_there_is_nobody_to_ask() {
        assert!(matches!(&findings(&link::Config::default())[..], [("network", Skipped(_))]));
    }
}
