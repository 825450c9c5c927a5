//! The hub with clients that were not written here: node and ws, from the documented messages alone. Needs node and Debian's node-ws; without
//! them the test says so.

use screen_portal::hub::{self, Config};
use std::process::Command;

#[test]
fn clients_that_know_only_the_documented_messages_work() {
    let node = |arguments: &[&str]| Command::new("node").env("NODE_PATH", "/usr/share/nodejs").args(arguments).output();
    if !node(&["-e", "require('ws')"]).is_ok_and(|output| output.status.success()) {
        return println!("skipped: no node with ws (Debian's packages nodejs and node-ws)");
    }
    let (runtime, folder) = (tokio::runtime::Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let hub = runtime.block_on(async { hub::start(&config, folder.path()).unwrap() });
    let output = node(&["tests/tools/room_clients.cjs", &format!("ws://{}/", hub.address())]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all as documented");
}
