//! A real broker: mosquitto from the system's packages.

use screen_portal::signaling::Config;
use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A broker, as long as it lives.
pub struct Broker {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says so and gives `None` where mosquitto is not installed.
pub fn broker() -> Option<Broker> {
    Broker::start("allow_anonymous true\n")
}

impl Broker {
    pub fn start(settings: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_in(tempfile::tempdir().unwrap(), port, settings)
    }

    /// As somebody with a name; both TLS and password are asked for.
    pub fn start_guarded(name: &str, password: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = |file: &str| folder.path().join(file).display().to_string();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(at("broker.pem"), made.cert.pem()).unwrap();
        std::fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let done = Command::new("mosquitto_passwd").args(["-b", "-c", &at("passwords"), name, password]).output();
        if done.is_err() {
            println!("skipped: no mosquitto");
            return None;
        }
        let mut settings = String::from("allow_anonymous false\n");
        for (key, file) in [("password_file", "passwords"), ("certfile", "broker.pem"), ("keyfile", "key.pem")] {
            writeln!(settings, "{key} {}", at(file)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_in(folder, port, &settings)
    }

    fn start_in(folder: tempfile::TempDir, port: u16, settings: &str) -> Option<Self> {
        let file = folder.path().join("mosquitto.conf");
        // As the user who runs the test: where that is root, mosquitto would become somebody who may not read the folder.
        let user = if settings.contains("certfile") { "user root\n" } else { "" };
        std::fs::write(&file, format!("{user}listener {port} 127.0.0.1\n{settings}persistence false\n")).unwrap();
        let process = match run(&file) {
            Ok(process) => process,
            Err(error) => {
                println!("skipped: no mosquitto: {error}");
                return None;
            }
        };
        let broker = Self { process, folder, port };
        broker.wait();
        Some(broker)
    }

    fn wait(&self) {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(5), "mosquitto does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Where it was before; it remembers nothing.
    pub fn start_again(&mut self) {
        self.process = run(&self.folder.path().join("mosquitto.conf")).unwrap();
        self.wait();
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// For a portal that meets its far end here and nowhere else.
    pub fn config(&self) -> Config {
        Config { listen: String::new(), broker: self.url(), ..Config::default() }
    }

    /// The same, guarded.
    pub fn guarded_config(&self, name: &str, password: &str) -> Config {
        Config {
            broker: format!("mqtts://localhost:{}", self.port),
            broker_username: name.into(),
            broker_password: password.into(),
            broker_trust: self.folder.path().join("broker.pem"),
            ..self.config()
        }
    }
}

fn run(settings: &Path) -> std::io::Result<Child> {
    let path = format!("/usr/sbin:/usr/local/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("mosquitto");
    command.env("PATH", path).arg("-c").arg(settings);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
