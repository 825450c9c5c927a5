//! Whether a configuration that was read while the portal runs may take the place of the one in use.
//!
//! Its values are allowed, or it would not have been read. What is asked here is whether somebody meant it (a file that is being copied, or was
//! written on a full disk, is valid TOML too, and then everything has its default), and whether a portal that begins again with it would come up:
//! where nobody looks, the one that runs is worth more than the reason why the next one does not.

use crate::config::{Config, Loaded, Origin};
use crate::link;
use crate::pairing::Fingerprint;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// Why it may not, in words for the operator.
pub(super) fn refusal(now: &Loaded, next: &Loaded, own: Fingerprint) -> Option<String> {
    doubt(now, next).or_else(|| obstacle(&now.config, &next.config, own))
}

/// What protects people and must not be lost with the end of a file: whoever means it writes what they want instead.
const GUARDED: [(&str, &str, &str); 8] = [
    ("operator", "pin", "the kiosk's keys would be free to everybody; write pin = \"\""),
    ("operator", "hold", "keys would work at a touch; write hold = false"),
    ("hours", "time_zone", "the hours would be those of another place; write time_zone = \"\""),
    ("hours", "week", "it would be open at all hours; write week = []"),
    ("hours", "dates", "it would be open on days that were closed; write dates = []"),
    ("privacy", "keys", "a privacy button would do nothing; write keys = []"),
    ("source", "kind", "the camera would be opened; write kind = \"camera\""),
    ("source", "camera", "another camera might be opened; write camera = \"\""),
];

/// What looks like an accident.
fn doubt(now: &Loaded, next: &Loaded) -> Option<String> {
    // Who takes `paired.toml` away (`screen-portal unpair`) means it. One that is damaged is an accident.
    let unpaired = now.is_paired_here() && next.damaged_pairing.is_none();
    let lost_far_end = || {
        let lost = now.config.pairing.far_end.is_some() && next.config.pairing.far_end.is_none() && !unpaired;
        lost.then(|| {
            "pairing.far_end is not set any more; restart the portal if it is to be paired with nobody".to_owned()
        })
    };
    // What was damaged at the start already must not keep the operator's changes from counting.
    if now.ignored.is_none() && next.ignored.is_some() {
        return Some("what was set at the kiosk would be lost".to_owned());
    }
    let Some(path) = now.file.as_ref() else { return lost_far_end() };
    let shown = path.display();
    let says_something = |loaded: &Loaded| {
        loaded.origins.values().any(|origin| matches!(origin, Origin::File { path: at, .. } if at == path))
    };
    if next.file.is_none() {
        return Some(format!("{shown} is gone; restart the portal if it is to run without"));
    }
    if next.file == now.file && says_something(now) && !says_something(next) {
        return Some(format!("{shown} says nothing any more; restart the portal if that is meant"));
    }
    if let Some(why) = lost_far_end() {
        return Some(why);
    }
    let by_file = |key| matches!(now.origins.get(&key), Some(Origin::File { path: at, .. }) if at == path);
    let lost = GUARDED
        .iter()
        .find(|(section, key, _)| by_file((*section, *key)) && !next.origins.contains_key(&(*section, *key)));
    lost.map(|(section, key, consequence)| {
        format!("{section}.{key} is not set any more, and {consequence} if that is meant, or restart the portal")
    })
}

/// What would keep the next start from coming up, as far as it can be tried beside the portal that runs.
fn obstacle(now: &Config, next: &Config, own: Fingerprint) -> Option<String> {
    if next.pairing.far_end == Some(own) {
        return Some("pairing.far_end is this portal's own fingerprint; enter that of the other one".to_owned());
    }
    if let Err(error) = link::try_config(&next.link) {
        return Some(error.to_string());
    }
    let (before, listen) = (now.signaling.listen_address(), next.signaling.listen_address()?);
    if before == Some(listen) {
        return None;
    }
    let addresses = |text: &str| text.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let ours: Vec<_> = before.and_then(|before| addresses(before).ok()).unwrap_or_default();
    // Who listens on the port now may be us: then only the address can be tried, not the port.
    let free =
        |address: &SocketAddr| if ours.iter().any(|it| it.port() == address.port()) { 0 } else { address.port() };
    let tried = addresses(listen).and_then(|to_try| {
        let to_try: Vec<_> = to_try.iter().map(|it| SocketAddr::new(it.ip(), free(it))).collect();
        TcpListener::bind(&*to_try)
    });
    let error = tried.err()?;
    Some(format!(
        "signaling.listen = {listen:?} cannot be listened on: {error}; free that port, or name one of this machine's addresses"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Sources};
    use std::path::Path;

    fn load(path: &Path, text: &str) -> Loaded {
        std::fs::write(path, text).unwrap();
        let environment = [("XDG_DATA_HOME".to_owned(), path.parent().unwrap().display().to_string())];
        let sources = Sources {
            file: Some(path.to_owned()),
            environment: environment.into_iter().collect(),
            ..Sources::default()
        };
        Config::load(&sources).unwrap()
    }

    #[test]
    fn accidents_are_told_from_changes() {
        let (folder, own) = (tempfile::tempdir().unwrap(), Fingerprint::of(b"ours"));
        let path = folder.path().join("portal.toml");
        let far = Fingerprint::of(b"theirs");
        let paired = format!("[pairing]\nfar_end = \"{far}\"\n");
        let named = format!("{paired}[site]\nname = \"Harbour\"\n");
        let attended = format!("{named}[operator]\npin = \"4711\"\n");
        let with_hours = format!("{named}[hours]\nweek = [\"daily = 08:00-18:00\"]\n");
        let button = format!("{named}[privacy]\nkeys = [\"F13\"]\n");
        let painted = format!("{named}[source]\nkind = \"scene\"\n");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        for (before, after, why) in [
            (named.clone(), paired.clone(), None),
            (named.clone(), "[site]\nname = \"Harbour\"\n".into(), Some("pairing.far_end is not set any more")),
            ("[site]\nname = \"Harbour\"\n".into(), "[display]\nwidth = 1000\n".into(), None),
            ("[site]\nname = \"Harbour\"\n".into(), String::new(), Some("says nothing any more")),
            (named.clone(), "# to be written\n".into(), Some("says nothing any more")),
            (String::new(), named.clone(), None),
            // Cut at the end, and still a whole file in the eyes of TOML.
            (attended.clone(), named.clone(), Some("operator.pin is not set any more")),
            (attended.clone(), format!("{named}[operator]\npin = \"\"\n"), None),
            (attended.clone(), format!("{named}[operator]\npin = \"1234\"\n"), None),
            (with_hours.clone(), named.clone(), Some("hours.week is not set any more")),
            (with_hours, format!("{named}[hours]\nweek = []\n"), None),
            (format!("{named}[hours]\ndates = [\"12-25 = closed\"]\n"), named.clone(), Some("hours.dates is not")),
            (button, named.clone(), Some("privacy.keys is not set any more")),
            (format!("{named}[hours]\ntime_zone = \"UTC\"\n"), named.clone(), Some("hours.time_zone is not")),
            (format!("{named}[source]\ncamera = \"Door\"\n"), named.clone(), Some("source.camera is not")),
            (format!("{named}[source]\ncamera = \"Door\"\n"), format!("{named}[source]\ncamera = \"\"\n"), None),
            (format!("{named}[operator]\nhold = true\n"), named.clone(), Some("operator.hold is not")),
            (painted.clone(), named.clone(), Some("source.kind is not set any more")),
            (painted, format!("{named}[source]\nkind = \"camera\"\n"), None),
            (named.clone(), format!("[pairing]\nfar_end = \"{own}\"\n"), Some("own fingerprint")),
            (
                named.clone(),
                format!(
                    "{paired}[link]\nice_ca_file = \"/nowhere/ca.pem\"\nice_servers = [{{ urls = [\"turns:t.example:5349\"], username = \"u\", credential = \"c\" }}]\n"
                ),
                Some("/nowhere/ca.pem"),
            ),
            (
                named.clone(),
                format!("{paired}[signaling]\nlisten = \"127.0.0.1:{port}\"\n"),
                Some("cannot be listened on"),
            ),
            (
                named.clone(),
                format!("{paired}[signaling]\nlisten = \"192.0.2.1:0\"\n"),
                Some("one of this machine's addresses"),
            ),
            (named.clone(), format!("{paired}[signaling]\nlisten = \"127.0.0.1:0\"\n"), None),
            // Taken by ourselves: another address of the same port.
            (
                format!("{paired}[signaling]\nlisten = \"0.0.0.0:{port}\"\n"),
                format!("{paired}[signaling]\nlisten = \"127.0.0.1:{port}\"\n"),
                None,
            ),
        ] {
            let (now, next) = (load(&path, &before), load(&path, &after));
            let refused = refusal(&now, &next, own);
            match why {
                None => assert_eq!(refused, None, "{after}"),
                Some(why) => assert!(refused.as_ref().is_some_and(|it| it.contains(why)), "{after}: {refused:?}"),
            }
        }
        // Set at the kiosk: what was damaged while the portal runs, and what was at its start.
        let settings = config::settings::path(folder.path().join("screen-portal").as_path());
        std::fs::create_dir(folder.path().join("screen-portal")).unwrap();
        let set = |text: &str| std::fs::write(&settings, text).unwrap();
        set("[source]\ncamera = \"Door\"\n");
        let whole = load(&path, &named);
        assert_eq!(whole.config.source.camera.names(), ["Door"]);
        set("[source]\ncam");
        let damaged = load(&path, &named);
        assert!(refusal(&whole, &damaged, own).is_some_and(|why| why.contains("set at the kiosk would be lost")));
        let changed = load(&path, &named.replace("Harbour", "Quay"));
        assert_eq!(refusal(&damaged, &changed, own), None, "the operator's changes count");
        std::fs::remove_file(&settings).unwrap();
        assert_eq!(refusal(&whole, &load(&path, &named), own), None, "who deletes it means it");
        // Paired here, by a code: to take that away is meant, a damaged file is not.
        let paired_here = config::paired::path(folder.path().join("screen-portal").as_path());
        std::fs::write(&paired_here, &paired).unwrap();
        let (text, now) = ("[site]\nname = \"Harbour\"\n", load(&path, "[site]\nname = \"Harbour\"\n"));
        assert!(now.is_paired_here());
        std::fs::write(&paired_here, "[pairing]\nfar").unwrap();
        assert!(refusal(&now, &load(&path, text), own).is_some_and(|why| why.contains("far_end is not set any more")));
        std::fs::remove_file(&paired_here).unwrap();
        assert_eq!(refusal(&now, &load(&path, text), own), None);
        let now = load(&path, &named);
        let gone = Loaded { file: None, ..now.clone() };
        assert!(refusal(&now, &gone, own).is_some_and(|why| why.contains("is gone")));
    }
}
