//! Two machines with a cable between them, as network namespaces.

use std::process::{Command, Stdio};

/// Two namespaces of these names, 192.0.2.1 and 192.0.2.2, as long as it lives.
pub struct Cable([&'static str; 2]);

impl Cable {
    /// An error says why there can be none here.
    pub fn plug(names: [&'static str; 2]) -> Result<Self, String> {
        // What a run left behind that was killed.
        drop(Cable(names));
        let cable = Cable(names);
        for name in names {
            ip(&format!("netns add {name}"))?;
        }
        ip(&format!("-n {} link add lan type veth peer name lan netns {}", names[0], names[1]))?;
        for (name, last) in names.into_iter().zip(1..) {
            for words in
                [format!("address add 192.0.2.{last}/24 dev lan"), "link set lo up".into(), "link set lan up".into()]
            {
                ip(&format!("-n {name} {words}"))?;
            }
            ip(&format!("-n {name} route add 224.0.0.0/4 dev lan"))?;
        }
        Ok(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split_whitespace()).output().map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {said}")) }
}
